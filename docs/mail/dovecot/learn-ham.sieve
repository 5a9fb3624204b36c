require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

if environment :matches "imap.mailbox" "*" {
  set "mailbox" "${1}";
}
# Whoever empties Junk by way of the trash does not say that it was wanted: moving to the trash means nothing. Add the
# name of yours where it is missing here; `doveadm mailbox list -u USER` shows it.
if string :matches "${mailbox}" [
  "Trash", "Trash/*", "Trash.*", "INBOX.Trash", "INBOX.Trash.*", "INBOX/Trash", "INBOX/Trash/*",
  "Deleted", "Deleted Items", "Deleted Items/*", "Deleted Messages", "Deleted Messages/*",
  "Bin", "Papierkorb", "Papierkorb/*", "Gelöschte*", "Corbeille", "Corbeille/*", "Éléments supprimés*",
  "Papelera", "Papelera/*", "Elementos eliminados*", "Cestino", "Prullenbak", "Lixeira", "Kosz",
  "Junk", "Junk/*", "Junk.*"
] {
  stop;
}
pipe :copy :try "sluice-learn" ["ham"];
