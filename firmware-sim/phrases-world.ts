/** Phrases in other languages, each in the charsets that its mail really comes in; see phrases.ts. */
import type { Language } from './phrases.ts';

const german: Language = {
  code: 'de',
  weight: 9,
  charsets: [
    ['iso-8859-1', 40],
    ['utf-8', 35],
    ['iso-8859-15', 15],
    ['windows-1252', 10],
  ],
  greetings: ['Hallo {name},', 'Guten Tag,', 'Sehr geehrte Damen und Herren,', 'Liebe Kollegen,', ''],
  closings: ['Viele Grüße\n{name}', 'Mit freundlichen Grüßen\n{name}', 'Gruß, {name}', 'Ihr Team {name}'],
  shared: [
    'Bitte [beachten|prüfen] Sie den Anhang.',
    'Bei Fragen [antworten|schreiben] Sie einfach auf diese Nachricht.',
    'Der Preis beträgt {money} Euro.',
    'Vielen Dank für Ihre [Bestellung|Nachricht|Geduld].',
    'Klicken Sie auf den [Link|Knopf], um mehr zu erfahren.',
    'Ihre Kundennummer lautet {code}.',
  ],
  words: {
    tag: ['Montag', 'Dienstag', 'Mittwoch', 'Donnerstag', 'Freitag', 'morgen', 'übermorgen'],
    teil: ['Getriebe', 'Förderband', 'Ventil', 'Kühlmittelpumpe', 'Prüfstand', 'Schaltschrank', 'Meßgerät'],
    ware: ['Fahrradschläuche', 'Bücher', 'Kopfhörer', 'Wanderschuhe', 'Gartenmöbel'],
    ort: ['am Bahnhof', 'in Köln', 'bei uns', 'in der Küche', 'im Büro'],
  },
  topics: [
    {
      name: 'arbeit',
      label: 'ham',
      weight: 60,
      subjects: [
        'Re: {teil} am {tag}',
        'Besprechung verschoben auf {tag}',
        'Angebot für {teil}',
        'Schichtplan {n}. Woche',
      ],
      sentences: [
        'Können wir das {teil} am {tag} um {clock} Uhr prüfen?',
        'Die Lieferung für das {teil} kommt erst am {tag}.',
        'Die Besprechung findet {tag} um {clock} {ort} statt.',
        'Ich habe die Zeichnung für das {teil} geändert, bitte schau noch einmal darüber.',
        'Im Anhang ist das Protokoll, {name} ergänzt noch die Meßwerte.',
        'Das {teil} läuft wieder, die Schwingung lag bei {n} Prozent.',
      ],
      links: ['Zeichnung', 'Protokoll'],
    },
    {
      name: 'versand',
      label: 'ham',
      weight: 40,
      subjects: ['Ihre Bestellung {code} ist unterwegs', 'Rechnung {code}', 'Treffen {ort}'],
      sentences: [
        'Ihre {ware} wurden heute verschickt und treffen am {tag} ein.',
        'Anbei die Rechnung {code} über {money} Euro, zahlbar innerhalb von {n} Tagen.',
        'Treffen wir uns {tag} um {clock} {ort}?',
        'Mitglieder sparen {percent} Prozent auf {ware}.',
      ],
      links: ['Sendung verfolgen', 'Rechnung ansehen', 'abbestellen'],
    },
    {
      name: 'betrug',
      label: 'spam',
      weight: 100,
      subjects: [
        'Ihr Konto wurde gesperrt',
        'Sie haben {millions} Euro gewonnen',
        'Schnell Geld verdienen',
        'Kredit ohne Auskunft',
        'Günstige Potenzmittel',
      ],
      sentences: [
        'Ihr Konto wurde aus Sicherheitsgründen gesperrt, bestätigen Sie Ihre Zugangsdaten innerhalb von {n} Stunden.',
        'Herzlichen Glückwunsch, Sie haben {millions} Euro gewonnen!',
        'Verdienen Sie {nn} Euro am Tag von zu Hause, ganz ohne Vorkenntnisse.',
        'Kredit ohne Auskunft, auch bei schlechter Bonität, sofort auf Ihr Konto.',
        'Tabletten ohne Rezept, diskreter Versand, {percent}% günstiger!!!',
        'Nur noch {n} Plätze frei, jetzt kostenlos anmelden.',
      ],
      links: ['Jetzt bestätigen', 'GEWINN ABHOLEN', 'Konto entsperren'],
    },
  ],
};

const french: Language = {
  code: 'fr',
  weight: 7,
  charsets: [
    ['iso-8859-1', 40],
    ['utf-8', 40],
    ['iso-8859-15', 20],
  ],
  greetings: ['Bonjour {name},', 'Bonjour à tous,', 'Madame, Monsieur,', 'Salut,', ''],
  closings: ['Cordialement,\n{name}', 'À bientôt\n{name}', 'Amicalement, {name}', "L'équipe {name}"],
  shared: [
    'Vous trouverez le document en pièce jointe.',
    "N'hésitez pas à [répondre|nous écrire].",
    'Le prix est de {money} euros.',
    'Merci pour votre [réponse|commande|intérêt].',
    'Cliquez sur le lien pour en savoir plus.',
  ],
  words: {
    jour: ['lundi', 'mardi', 'mercredi', 'jeudi', 'vendredi', 'demain', 'après-demain'],
    chose: ['la pompe', 'le relevé', "l'armoire électrique", 'le capteur', 'la boîte de vitesses'],
    lieu: ['à la gare', 'chez nous', "à l'atelier", 'au café'],
  },
  topics: [
    {
      name: 'travail',
      label: 'ham',
      weight: 100,
      subjects: ['Re: {chose}', 'Réunion de {jour}', 'Votre commande {code} est expédiée', 'Dîner {jour} ?'],
      sentences: [
        'Peux-tu vérifier {chose} avant {jour} ?',
        'La réunion est déplacée à {jour}, {clock}, {lieu}.',
        'Le fournisseur a confirmé la livraison pour {jour}.',
        'On se retrouve {jour} {lieu} vers {clock} ?',
        "J'ai mesuré {n} degrés de trop, il faut remplacer {chose}.",
        'La facture {code} de {money} euros est à régler sous {n} jours.',
        'Les enfants ont adoré la forêt, voici quelques photos.',
      ],
      links: ['le compte rendu', 'suivre le colis', 'les photos'],
    },
    {
      name: 'arnaque',
      label: 'spam',
      weight: 100,
      subjects: [
        'Votre compte est suspendu',
        'Félicitations, vous avez gagné',
        'Gagnez {nn} euros par jour',
        'Prêt rapide sans justificatif',
      ],
      sentences: [
        "Votre compte a été suspendu, vérifiez vos coordonnées bancaires d'ici {n} heures.",
        'Félicitations ! Vous avez gagné {millions} euros à la loterie.',
        'Gagnez {nn} euros par jour depuis chez vous, sans expérience.',
        'Prêt immédiat sans justificatif, même en cas de refus bancaire.',
        'Perdez {n} kilos grâce à nos gélules naturelles, résultat garanti !!!',
        'Votre colis {code} est bloqué, réglez {money} euros de frais.',
      ],
      links: ['Vérifier mon compte', 'RÉCLAMER', 'Je profite'],
    },
  ],
};

const spanish: Language = {
  code: 'es',
  weight: 6,
  charsets: [
    ['utf-8', 55],
    ['iso-8859-1', 45],
  ],
  greetings: ['Hola {name}:', 'Buenos días:', 'Estimado cliente:', ''],
  closings: ['Un saludo,\n{name}', 'Gracias,\n{name}', 'Atentamente,\n{name}'],
  shared: [
    'Adjunto el documento.',
    'El precio es de {money} euros.',
    'Gracias por su [pedido|respuesta].',
    'Haga clic en el enlace para más información.',
  ],
  words: {
    dia: ['el lunes', 'el martes', 'el miércoles', 'el jueves', 'mañana'],
    cosa: ['la bomba', 'el sensor', 'la máquina pequeña', 'el armario eléctrico'],
  },
  topics: [
    {
      name: 'trabajo',
      label: 'ham',
      weight: 100,
      subjects: ['Re: {cosa}', 'Reunión {dia}', 'Su pedido {code} está en camino', '¿Cenamos {dia}?'],
      sentences: [
        '¿Puedes revisar {cosa} antes de {dia}?',
        'La reunión será {dia} a las {clock}.',
        'El proveedor confirmó la entrega de {cosa} para {dia}.',
        'Mañana llevo la tortilla, tú trae el pan.',
        'La factura {code} vence en {n} días.',
        'Medí {n} grados de más, hay que cambiar {cosa}.',
      ],
      links: ['el plano', 'seguir el envío'],
    },
    {
      name: 'estafa',
      label: 'spam',
      weight: 100,
      subjects: [
        'Su cuenta ha sido bloqueada',
        '¡Ha ganado {millions} euros!',
        'Gane dinero desde casa',
        'Préstamo inmediato',
      ],
      sentences: [
        'Su cuenta ha sido bloqueada, confirme su contraseña en {n} horas.',
        '¡Enhorabuena! Ha ganado {millions} euros en el sorteo.',
        'Gane {nn} euros al día desde casa, sin experiencia.',
        'Préstamo inmediato sin aval, aunque tenga deudas.',
        'Pastillas sin receta con {percent}% de descuento!!!',
      ],
      links: ['Confirmar', 'COBRAR PREMIO', 'Quiero ganar'],
    },
  ],
};

const russian: Language = {
  code: 'ru',
  weight: 6,
  charsets: [
    ['koi8-r', 45],
    ['windows-1251', 25],
    ['utf-8', 30],
  ],
  greetings: ['Здравствуйте!', 'Привет, {name},', 'Добрый день!', ''],
  closings: ['С уважением,\n{name}', 'Пока, {name}', 'Спасибо, {name}'],
  shared: [
    'Файл во вложении.',
    'Цена {money} рублей.',
    'Спасибо за ваш [заказ|ответ].',
    'Подробности по ссылке.',
  ],
  words: {
    den: ['в понедельник', 'во вторник', 'в среду', 'в четверг', 'завтра'],
    vesch: ['насос', 'датчик', 'редуктор', 'клапан', 'чертёж'],
  },
  topics: [
    {
      name: 'работа',
      label: 'ham',
      weight: 100,
      subjects: ['Re: {vesch}', 'Совещание {den}', 'Ваш заказ {code} отправлен', 'Встреча {den}'],
      sentences: [
        'Проверь, пожалуйста, {vesch} {den}.',
        'Совещание переносится, начало {den} в {clock}.',
        'Поставщик подтвердил {vesch}, привезут {den}.',
        'Вибрация выросла на {n} процентов, надо менять {vesch}.',
        'Мы были на даче, посылаю фотографии.',
        'Счёт {code} нужно оплатить за {n} дней.',
      ],
      links: ['чертёж', 'отследить посылку'],
    },
    {
      name: 'обман',
      label: 'spam',
      weight: 100,
      subjects: [
        'Ваш счёт заблокирован',
        'Вы выиграли {millions} рублей',
        'Заработок без вложений',
        'Рассылка по {millions} адресам',
      ],
      sentences: [
        'Ваш счёт заблокирован, подтвердите пароль в течение {n} часов.',
        'Поздравляем, вы выиграли {millions} рублей!',
        'Заработок {nn} рублей в день, не выходя из дома.',
        'Кредит без справок и поручителей, деньги сразу.',
        'Рассылка вашей рекламы по {millions} адресам, скидка {percent}%!!!',
        'Похудеть на {n} килограммов за {n} дней без диет.',
      ],
      links: ['Подтвердить', 'ПОЛУЧИТЬ', 'Заказать рассылку'],
    },
  ],
};

const polish: Language = {
  code: 'pl',
  weight: 3,
  charsets: [
    ['iso-8859-2', 60],
    ['utf-8', 40],
  ],
  greetings: ['Cześć {name},', 'Dzień dobry,', ''],
  closings: ['Pozdrawiam,\n{name}', 'Z poważaniem,\n{name}'],
  shared: ['Plik w załączniku.', 'Cena wynosi {money} złotych.', 'Dziękujemy za [zamówienie|odpowiedź].'],
  words: {
    dzien: ['w poniedziałek', 'we wtorek', 'w środę', 'jutro'],
    rzecz: ['pompę', 'czujnik', 'przekładnię', 'zawór'],
  },
  topics: [
    {
      name: 'praca',
      label: 'ham',
      weight: 100,
      subjects: ['Re: spotkanie {dzien}', 'Zamówienie {code} wysłane', 'Pytanie o {rzecz}'],
      sentences: [
        'Czy możesz sprawdzić {rzecz} {dzien}?',
        'Spotkanie {dzien} o {clock}, sala {n}.',
        'Paczka z częścią dotrze {dzien}.',
        'Zdjęcia znad jeziora są już gotowe.',
        'Trzeba wymienić {rzecz}, drgania wzrosły o {n} procent.',
      ],
      links: ['rysunek', 'śledź paczkę'],
    },
    {
      name: 'oszustwo',
      label: 'spam',
      weight: 100,
      subjects: ['Twoje konto zostało zablokowane', 'Wygrałeś {millions} złotych', 'Szybka pożyczka'],
      sentences: [
        'Twoje konto zostało zablokowane, potwierdź hasło w ciągu {n} godzin.',
        'Gratulacje, wygrałeś {millions} złotych!',
        'Szybka pożyczka bez zaświadczeń, pieniądze od ręki.',
        'Zarabiaj {nn} złotych dziennie bez wychodzenia z domu.',
        'Tabletki odchudzające {percent}% taniej!!!',
      ],
      links: ['Potwierdź', 'ODBIERZ'],
    },
  ],
};

const japanese: Language = {
  code: 'ja',
  weight: 3,
  charsets: [
    ['iso-2022-jp', 45],
    ['shift_jis', 20],
    ['utf-8', 35],
  ],
  greetings: ['お世話になっております。', 'こんにちは。', ''],
  closings: ['よろしくお願いいたします。', '敬具'],
  shared: ['添付のファイルをご確認ください。', '価格は{nn}円です。', 'ご返信をお待ちしております。'],
  words: {
    hi: ['月曜日', '火曜日', '水曜日', '木曜日', '明日'],
    mono: ['ポンプ', 'センサー', '減速機', '図面', 'バルブ'],
  },
  topics: [
    {
      name: '仕事',
      label: 'ham',
      weight: 100,
      subjects: ['{mono}の件', '{hi}の会議について', 'ご注文 {code} の発送'],
      sentences: [
        '{hi}までに{mono}を確認していただけますか。',
        '会議は{hi}の{clock}に変更になりました。',
        '{mono}の納品は{hi}の予定です。',
        '振動が{n}パーセント上がったので、{mono}を交換します。',
        '先日の写真を送ります。',
      ],
      links: ['図面', '配送状況'],
    },
    {
      name: '詐欺',
      label: 'spam',
      weight: 100,
      subjects: ['アカウントが停止されました', '当選のお知らせ', '簡単に稼げる方法'],
      sentences: [
        'お客様のアカウントは停止されました。{n}時間以内に本人確認をしてください。',
        'おめでとうございます。{millions}円が当選しました。',
        '自宅で一日{nn}円稼げます。経験は不要です。',
        '今すぐ無料で登録してください。',
        '素敵な出会いがあなたを待っています。',
      ],
      links: ['確認する', '今すぐ登録'],
    },
  ],
};

const chinese: Language = {
  code: 'zh',
  weight: 2.5,
  charsets: [
    ['gb2312', 40],
    ['gb18030', 20],
    ['utf-8', 40],
  ],
  greetings: ['您好！', '大家好，', ''],
  closings: ['谢谢！', '此致敬礼'],
  shared: ['请查看附件。', '价格是{nn}元。', '期待您的回复。'],
  words: { tian: ['星期一', '星期二', '星期三', '明天'], dong: ['水泵', '传感器', '齿轮箱', '图纸', '阀门'] },
  topics: [
    {
      name: '工作',
      label: 'ham',
      weight: 100,
      subjects: ['关于{dong}', '{tian}的会议', '订单 {code} 已发货'],
      sentences: [
        '请在{tian}之前检查{dong}。',
        '会议改到{tian}{clock}。',
        '供应商确认{dong}{tian}到货。',
        '振动上升了百分之{n}，需要更换{dong}。',
        '上周的照片发给你。',
      ],
      links: ['图纸', '物流信息'],
    },
    {
      name: '诈骗',
      label: 'spam',
      weight: 100,
      subjects: ['您的账户已被冻结', '恭喜您中奖', '代开发票'],
      sentences: [
        '您的账户已被冻结，请在{n}小时内确认密码。',
        '恭喜您获得{millions}元大奖！',
        '在家工作每天赚{nn}元。',
        '我公司可以代开各类发票，优惠百分之{percent}。',
        '立即注册，免费领取。',
      ],
      links: ['立即确认', '免费领取'],
    },
  ],
};

const korean: Language = {
  code: 'ko',
  weight: 1.5,
  charsets: [
    ['euc-kr', 55],
    ['utf-8', 45],
  ],
  greetings: ['안녕하세요.', ''],
  closings: ['감사합니다.'],
  shared: ['첨부 파일을 확인해 주세요.', '가격은 {nn}원입니다.'],
  words: { nal: ['월요일', '화요일', '수요일', '내일'], bu: ['펌프', '센서', '밸브', '도면'] },
  topics: [
    {
      name: '업무',
      label: 'ham',
      weight: 100,
      subjects: ['{bu} 관련', '{nal} 회의', '주문 {code} 발송'],
      sentences: [
        '{nal}까지 {bu}를 확인해 주시겠습니까?',
        '회의는 {nal} {clock}로 변경되었습니다.',
        '진동이 {n}퍼센트 올라서 {bu}를 교체합니다.',
        '지난주 사진을 보냅니다.',
      ],
      links: ['도면', '배송 조회'],
    },
    {
      name: '사기',
      label: 'spam',
      weight: 100,
      subjects: ['(광고) 무료 대출 상담', '계정이 정지되었습니다', '당첨을 축하합니다'],
      sentences: [
        '고객님의 계정이 정지되었습니다. {n}시간 안에 확인해 주세요.',
        '축하합니다! {millions}원에 당첨되었습니다.',
        '집에서 하루 {nn}원을 벌 수 있습니다.',
        '신용 불량도 당일 대출 가능합니다.',
      ],
      links: ['지금 확인', '무료 상담'],
    },
  ],
};

export const world: readonly Language[] = [
  german,
  french,
  spanish,
  russian,
  polish,
  japanese,
  chinese,
  korean,
];
