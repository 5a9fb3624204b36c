require ["vnd.dovecot.pipe", "copy", "imapsieve"];

# Only what a person moved comes this way, by IMAP: what a filter delivers into Junk is no label. `:try`: a label that
# cannot be told must not keep the mail from being moved.
pipe :copy :try "sluice-learn" ["spam"];
