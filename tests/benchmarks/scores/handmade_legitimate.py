"""Legitimate answers that repeat themselves, written by hand, in styles that the generator (legitimate.py) has not.

Written before any of them was scored; in the half to tune on since then. Each has a reference: what another author would answer to the same prompt, in
the same form with other content. Traditional verse is in the public domain, all else was written here.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.scores.sample import Sample

__all__ = ["handmade_legitimate", "rows"]


def rows(template: str, rows: str) -> str:
    """The template with each row of ``a/b/c;d/e/f``."""
    return "".join(template.format(*row.split("/"), i=i) for i, row in enumerate(rows.split(";"), 1))


PLANETS = "Mercury/first/58/no moons;Venus/second/108/no moons;Earth/third/150/one moon;Mars/fourth/228/two moons;Jupiter/fifth/778/95 moons;Saturn/sixth/1,430/146 moons;Uranus/seventh/2,870/27 moons;Neptune/eighth/4,500/14 moons"
CAPITALS = "France/Paris;Spain/Madrid;Italy/Rome;Germany/Berlin;Poland/Warsaw;Austria/Vienna;Hungary/Budapest;Greece/Athens;Portugal/Lisbon;Norway/Oslo;Sweden/Stockholm;Finland/Helsinki;Denmark/Copenhagen;Ireland/Dublin;Belgium/Brussels;Croatia/Zagreb;Serbia/Belgrade;Latvia/Riga;Estonia/Tallinn;Romania/Bucharest"
MONTHS = "January/31;February/28;March/31;April/30;May/31;June/30;July/31;August/31;September/30;October/31;November/30;December/31"
ZH_PLANETS = "水星/一/岩石/昼夜温差极大;金星/二/岩石/大气浓厚炽热;地球/三/岩石/孕育了生命;火星/四/岩石/地表呈红色;木星/五/气体/体积最为庞大;土星/六/气体/拥有美丽光环;天王星/七/冰/自转轴几乎躺倒;海王星/八/冰/风暴异常猛烈"
NATO = (
    "Alpha", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "India", "Juliett", "Kilo", "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo", "Sierra", "Tango", "Uniform", "Victor", "Whiskey", "Xray", "Yankee", "Zulu",
)  # fmt: skip

EN = (
    (rows("{0} is the {1} planet from the Sun. It orbits at {2} million kilometres and has {3}.\n", PLANETS),
     rows("{0} comes {1}: {2} million kilometres away, with {3}.\n", PLANETS)),
    (rows("The capital of {0} is {1}. ", CAPITALS), rows("{0}'s capital is {1}. ", CAPITALS)),
    (rows("{0} has {1} days.\n", MONTHS), rows("- {0}: {1} days\n", MONTHS)),
    ("1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 5. O-O Be7 6. Re1 b5 7. Bb3 d6 8. c3 O-O 9. h3 Nb8 10. d4 Nbd7 11. c4 c6 12. cxb5 axb5 13. Nc3 Bb7 14. Bg5 b4 15. Nb1 h6 16. Bh4 c5 17. dxe5 Nxe4 18. Bxe7 Qxe7",
     "1. d4 d5 2. c4 e6 3. Nc3 Nf6 4. Bg5 Be7 5. e3 O-O 6. Nf3 h6 7. Bh4 b6 8. cxd5 Nxd5 9. Bxe7 Qxe7 10. Nxd5 exd5 11. Rc1 Be6 12. Qa4 c5"),
    ("".join(f"{n} green bottles hanging on the wall,\n{n} green bottles hanging on the wall,\nAnd if one green bottle should accidentally fall,\nThere'll be {m} green bottles hanging on the wall.\n\n"
             for n, m in (("Ten", "nine"), ("Nine", "eight"), ("Eight", "seven"), ("Seven", "six"), ("Six", "five"))),
     "".join(f"{n} green bottles hanging on the wall,\n{n} green bottles hanging on the wall,\nAnd if one green bottle should accidentally fall,\nThere'll be {m} green bottles hanging on the wall.\n\n"
             for n, m in (("Ten", "nine"), ("Nine", "eight"), ("Eight", "seven"), ("Seven", "six")))),
    (rows("Old MacDonald had a farm, E-I-E-I-O,\nAnd on that farm he had a {0}, E-I-E-I-O.\nWith a {1}-{1} here and a {1}-{1} there,\nHere a {1}, there a {1}, everywhere a {1}-{1}.\n\n", "cow/moo;pig/oink;duck/quack;sheep/baa"),
     rows("Old MacDonald had a farm, E-I-E-I-O,\nAnd on that farm he had a {0}, E-I-E-I-O.\nWith a {1}-{1} here and a {1}-{1} there,\nHere a {1}, there a {1}, everywhere a {1}-{1}.\n\n", "horse/neigh;dog/woof;hen/cluck")),
    (rows("For the {0} in our streets, let us pray to the Lord.\nLord, have mercy.\n", "poor;sick;lonely;children;strangers;old;prisoners;workers"),
     rows("For {0}, let us pray to the Lord.\nLord, have mercy.\n", "peace from above;the good of all;this city;travellers by land;the young and the old;our own needs")),
    (rows("je {0}, tu {1}, il {2}, nous {3}, vous {4}, ils {5}\n", "parle/parles/parle/parlons/parlez/parlent;finis/finis/finit/finissons/finissez/finissent;vends/vends/vend/vendons/vendez/vendent;suis/es/est/sommes/êtes/sont;ai/as/a/avons/avez/ont"),
     rows("je {0}, tu {1}, il {2}, nous {3}, vous {4}, ils {5}\n", "aime/aimes/aime/aimons/aimez/aiment;vais/vas/va/allons/allez/vont;fais/fais/fait/faisons/faites/font;dis/dis/dit/disons/dites/disent")),
    (rows("{0} – {1}\n", "apple/Apfel;bread/Brot;water/Wasser;milk/Milch;cheese/Käse;salt/Salz;egg/Ei;meat/Fleisch;fish/Fisch;butter/Butter;plate/Teller;fork/Gabel;knife/Messer;spoon/Löffel"),
     rows("{0} – {1}\n", "apple/pomme;bread/pain;water/eau;milk/lait;cheese/fromage;salt/sel;egg/œuf;meat/viande;fish/poisson;butter/beurre")),
    (rows("**Q: {0}?**\nA: {1}.\n\n", "How do I reset my password/Open the settings and choose Reset;Can I change my address/Yes, write to us before the parcel leaves;Do you ship abroad/We ship to forty countries;How long does delivery take/Three to five working days;Can I pay by invoice/Only as a business customer;Where is my receipt/It came with the order mail"),
     rows("**Q: {0}?**\nA: {1}.\n\n", "Is there a student discount/Ten per cent with a valid card;Can I return a gift/Within thirty days;Do you have shops/One in Leeds and one in York;How do I reach you/By mail or by phone")),
    (rows("{i}. What is the {0} of {1}?\n   A) {2}\n   B) {3}\n   C) {4}\n   D) None of these\n\n", "symbol/gold/Au/Ag/Gd;square/12/144/124/142;capital/Peru/Lima/Quito/Cusco;plural/mouse/mice/mouses/mouse;boiling point/water/100 °C/90 °C/120 °C;author/Emma/Austen/Eliot/Woolf"),
     rows("{i}. Which is the {0} of {1}?\n   A) {2}\n   B) {3}\n   C) {4}\n   D) None of these\n\n", "currency/Japan/yen/won/yuan;root/81/9/8/7;colour/rubies/red/blue/green;language/Brazil/Portuguese/Spanish/French")),
    ("\n".join("FizzBuzz" if i % 15 == 0 else "Fizz" if i % 3 == 0 else "Buzz" if i % 5 == 0 else str(i) for i in range(1, 61)),
     "\n".join("FizzBuzz" if i % 15 == 0 else "Fizz" if i % 3 == 0 else "Buzz" if i % 5 == 0 else str(i) for i in range(1, 41))),
    (", ".join(map(str, range(1, 101))), ", ".join(map(str, range(1, 101)))),
    ("".join(f"{w[0]} is for {w}.\n" for w in NATO), "".join(f"{w[0]} as in {w}\n" for w in NATO)),
    ("We will not wait for a better day. We will not wait for a louder voice. We will not wait until the river is dry and the fields are bare. We will walk, as those before us walked, with nothing but bread and a song. We will speak, because silence has a price. And when they ask who sent us, we will say: the children sent us.",
     "Let us begin where we stand. Let us begin with the hands we have. Let us begin, though the night is long, and though the road is longer. Let us carry what must be carried. Let us leave what can be left. And let us meet in the morning."),
    (rows("{0:<22}{1:>3} x {2:>6}{3:>9}\n", "Whole milk 1 l/2/1.19/2.38;Rye bread 500 g/1/2.79/2.79;Free-range eggs/1/3.29/3.29;Butter 250 g/3/2.49/7.47;Tomatoes loose/1/1.84/1.84;Olive oil/1/8.99/8.99;Paper bags/2/0.10/0.20"),
     rows("{0:<22}{1:>3} x {2:>6}{3:>9}\n", "Oat drink 1 l/4/1.79/7.16;Toast 500 g/1/1.49/1.49;Yoghurt/6/0.59/3.54;Pears loose/1/2.10/2.10;Soap/2/1.25/2.50")),
    (rows("Round {i}: {0} beat {1} {2}.\n", "Larsen/Okafor/6-4 6-2;Silva/Novak/7-5 3-6 6-1;Kaya/Haas/6-0 6-3;Moreau/Ito/4-6 6-4 7-6;Larsen/Silva/6-3 6-4;Kaya/Moreau/7-6 7-6;Kaya/Larsen/5-7 6-3 6-4"),
     rows("Round {i}: {0} beat {1} {2}.\n", "Adams/Brown/3-1;Clark/Davis/2-0;Evans/Frank/4-3;Adams/Clark/1-0;Evans/Adams/2-1")),
    ("Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.\n\n" * 3,
     "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.\n\n" * 2),
    (rows("- {0} ({1}): {2} minutes, {3} kcal\n", "Porridge/breakfast/10/320;Lentil soup/lunch/40/410;Fried rice/dinner/25/520;Fruit salad/snack/5/150;Omelette/breakfast/12/290;Bean stew/dinner/60/480;Hummus/snack/8/210"),
     rows("- {0} ({1}): {2} minutes, {3} kcal\n", "Toast/breakfast/5/240;Pea soup/lunch/45/380;Pasta/dinner/20/560;Nuts/snack/1/190")),
)  # fmt: skip
ZH = (
    (rows("{0}是距离太阳第{1}近的行星，属于{2}行星，{3}。\n", ZH_PLANETS), rows("{0}：第{1}颗行星，{2}行星，特点是{3}。\n", ZH_PLANETS)),
    ("蒹葭苍苍，白露为霜。所谓伊人，在水一方。溯洄从之，道阻且长。溯游从之，宛在水中央。\n蒹葭萋萋，白露未晞。所谓伊人，在水之湄。溯洄从之，道阻且跻。溯游从之，宛在水中坻。\n蒹葭采采，白露未已。所谓伊人，在水之涘。溯洄从之，道阻且右。溯游从之，宛在水中沚。",
     "桃之夭夭，灼灼其华。之子于归，宜其室家。\n桃之夭夭，有蕡其实。之子于归，宜其家室。\n桃之夭夭，其叶蓁蓁。之子于归，宜其家人。"),
    ("吃葡萄不吐葡萄皮，不吃葡萄倒吐葡萄皮。四是四，十是十，十四是十四，四十是四十。", "红凤凰，粉凤凰，红粉凤凰，花凤凰。黑化肥发灰，灰化肥发黑。"),
    (rows("{0}—{1} {2}（主讲人：{3}）\n", "09:00/09:30/开幕致辞/李明;09:30/10:30/大模型评测方法/王芳;10:30/10:45/茶歇/会务组;10:45/11:45/数据治理实践/赵强;14:00/15:00/圆桌讨论/孙悦;15:00/16:00/开源工具展示/周平;16:00/16:20/闭幕总结/李明"),
     rows("{0}—{1} {2}（主讲人：{3}）\n", "08:30/09:00/签到/会务组;09:00/10:00/主旨报告/陈刚;10:00/11:30/分组讨论/何静;13:30/15:00/论文宣读/郭磊")),
    (rows("{0}：口服，一次{1}，一日{2}次，{3}服用。\n", "布洛芬缓释胶囊/1粒/2/饭后;阿莫西林胶囊/2粒/3/饭后;维生素C片/1片/1/早餐后;蒙脱石散/1袋/3/空腹;奥美拉唑肠溶片/1片/1/早餐前;复方甘草片/3片/3/含化"),
     rows("{0}：口服，一次{1}，一日{2}次，{3}服用。\n", "头孢克肟胶囊/1粒/2/饭后;氯雷他定片/1片/1/睡前;板蓝根颗粒/1袋/3/温水")),
    (rows("{0}年公司实现营业收入{1}亿元，同比增长{2}%，净利润{3}亿元。\n", "2018/12.4/8.1/1.9;2019/13.8/11.3/2.2;2020/13.1/-5.1/1.7;2021/15.9/21.4/2.8;2022/16.6/4.4/2.9;2023/18.2/9.6/3.3"),
     rows("{0}年公司实现营业收入{1}亿元，同比增长{2}%，净利润{3}亿元。\n", "2020/45.2/3.4/5.1;2021/51.7/14.4/6.0;2022/50.9/-1.5/5.5;2023/58.3/14.5/6.8")),
    (rows("{0}的省会是{1}。", "河北/石家庄;山西/太原;辽宁/沈阳;吉林/长春;江苏/南京;浙江/杭州;安徽/合肥;福建/福州;江西/南昌;山东/济南;河南/郑州;湖北/武汉;湖南/长沙;广东/广州;四川/成都;贵州/贵阳;云南/昆明;陕西/西安"),
     rows("{0}——{1}，", "河北/石家庄;山西/太原;辽宁/沈阳;吉林/长春;江苏/南京;浙江/杭州;安徽/合肥;福建/福州;江西/南昌;山东/济南;河南/郑州;湖北/武汉;湖南/长沙;广东/广州")),
    (rows("**{0}**\n优点：{1}。\n缺点：{2}。\n\n", "方案甲/成本低，见效快/后期维护麻烦;方案乙/质量稳定/前期投入较大;方案丙/灵活，可随时调整/依赖外部团队;方案丁/风险最小/周期太长"),
     rows("**{0}**\n优点：{1}。\n缺点：{2}。\n\n", "租房/搬家方便/没有归属感;买房/资产保值/月供压力大;合租/便宜，热闹/隐私少")),
    (rows("春天，{0}；夏天，{1}；秋天，{2}；冬天，{3}。\n", "柳树发芽/荷花开放/枫叶变红/雪花飘落;燕子归来/知了歌唱/大雁南飞/麻雀觅食;人们播种/人们避暑/人们收割/人们守岁"),
     rows("春有{0}，夏有{1}，秋有{2}，冬有{3}。\n", "百花/凉风/明月/白雪;细雨/骄阳/清霜/寒冰")),
)  # fmt: skip
CODE = (
    ("services:\n" + rows("  {0}:\n    image: {1}\n    restart: always\n    ports:\n      - \"{2}\"\n    environment:\n      - TZ=UTC\n", "web/nginx:1.25/80:80;api/acme-api:2.1/8080:8080;db/postgres:16/5432:5432;cache/redis:7/6379:6379;mail/acme-mail:1.0/25:25"),
     "services:\n" + rows("  {0}:\n    image: {1}\n    restart: always\n    ports:\n      - \"{2}\"\n", "proxy/traefik:3/443:443;app/shop-app:4/3000:3000;queue/rabbitmq:3/5672:5672;search/opensearch:2/9200:9200")),
    ("build:\n" + rows("\tgo build -o bin/{0} ./cmd/{0}\n", "server;worker;migrate;admin;probe") + "\ntest:\n\tgo test ./...\n\nclean:\n\trm -rf bin\n\n.PHONY: build test clean\n",
     "build:\n" + rows("\tgo build -o bin/{0} ./cmd/{0}\n", "api;cron;cli") + "\ntest:\n\tgo test ./...\n"),
    ("switch (code) {\n" + rows("  case {0}: return \"{1}\";\n", "200/OK;201/Created;204/No Content;301/Moved Permanently;304/Not Modified;400/Bad Request;401/Unauthorized;403/Forbidden;404/Not Found;409/Conflict;429/Too Many Requests;500/Internal Server Error;502/Bad Gateway;503/Service Unavailable") + "  default: return \"Unknown\";\n}",
     "switch (code) {\n" + rows("  case {0}: return \"{1}\";\n", "1/EPERM;2/ENOENT;3/ESRCH;4/EINTR;5/EIO;12/ENOMEM;13/EACCES;17/EEXIST;22/EINVAL;28/ENOSPC") + "  default: return \"?\";\n}"),
    ("static const uint8_t sbox[] = {\n" + "".join("  " + ", ".join(f"0x{(i * 73 + j * 41 + i * j * 7) % 256:02x}" for j in range(8)) + ",\n" for i in range(16)) + "};",
     "static const uint8_t table[] = {\n" + "".join("  " + ", ".join(f"0x{(i * 59 + j * 23 + i * j * 11) % 256:02x}" for j in range(8)) + ",\n" for i in range(12)) + "};"),
    ("type Query {\n" + rows("  {0}(id: ID!): {1}\n  {0}s(first: Int, after: String): [{1}!]!\n", "user/User;order/Order;product/Product;review/Review;cart/Cart;coupon/Coupon") + "}",
     "type Query {\n" + rows("  {0}(id: ID!): {1}\n  {0}s(first: Int, after: String): [{1}!]!\n", "author/Author;book/Book;shelf/Shelf;loan/Loan") + "}"),
    ("describe('math', () => {\n" + rows("  it('{0}', () => {{\n    expect({1}).toBe({2});\n  }});\n\n", "adds two numbers/add(2, 3)/5;subtracts/sub(9, 4)/5;multiplies by zero/mul(7, 0)/0;divides evenly/div(12, 3)/4;negates/neg(8)/-8;takes the square root/sqrt(49)/7;rounds half up/round(2.5)/3") + "});",
     "describe('text', () => {\n" + rows("  it('{0}', () => {{\n    expect({1}).toBe({2});\n  }});\n\n", "trims/trim(' a ')/'a';reverses/rev('ab')/'ba';upper-cases/up('q')/'Q';pads/pad('7', 3)/'007';splits/split('a-b')[1]/'b'") + "});"),
    ("Traceback (most recent call last):\n" + rows("  File \"/srv/app/{0}.py\", line {1}, in {2}\n    {3}\n", "main/12/<module>/run();main/48/run/server.serve(port);server/90/serve/loop.run_until_complete(task);handlers/31/handle/return view(request);views/77/view/user = load_user(request.id);store/15/load_user/row = connection.fetch(query)") + "KeyError: 'id'",
     "Traceback (most recent call last):\n" + rows("  File \"/srv/job/{0}.py\", line {1}, in {2}\n    {3}\n", "cli/8/<module>/start();cli/20/start/job.execute();jobs/64/execute/step(context);steps/5/step/total = price * amount") + "TypeError: can't multiply"),
    (rows("{0}  {1}  {2}\n", "a1f3c9e/Ada/Fix the rounding of prices;77b02dd/Ben/Add a test for empty baskets;0c9e4aa/Ada/Rename Item to Article;e55d310/Chloe/Bump the parser to 2.4;91ab7f2/Ben/Remove the old importer;3d0f6b8/Ada/Document the export format;c42e19d/Chloe/Cache the exchange rates"),
     rows("{0}  {1}  {2}\n", "b7c21f0/Elena/Start the second release;4f9d3ac/Hugo/Split the settings module;d18e6b5/Elena/Use one clock everywhere;62aa90c/Ines/Correct three typing errors")),
    ("date,open,high,low,close\n" + "".join(f"2024-03-{d:02d},{100 + d * 0.7:.2f},{102 + d * 0.9:.2f},{98 + d * 0.6:.2f},{101 + d * 0.8:.2f}\n" for d in range(1, 29)),
     "date,open,high,low,close\n" + "".join(f"2023-07-{d:02d},{55 + d * 0.3:.2f},{56 + d * 0.4:.2f},{54 + d * 0.2:.2f},{55 + d * 0.35:.2f}\n" for d in range(1, 22))),
    ("\\begin{tabular}{lrr}\n\\hline\n" + rows("{0} & {1} & {2} \\\\ \\hline\n", "Baseline/71.2/0.40;Larger batch/72.0/0.38;Longer training/73.9/0.41;Both/74.4/0.39;No dropout/70.1/0.52;Warm-up/72.6/0.37") + "\\end{tabular}",
     "\\begin{tabular}{lrr}\n\\hline\n" + rows("{0} & {1} & {2} \\\\ \\hline\n", "Model A/12.5/3.1;Model B/14.0/2.9;Model C/13.2/3.3;Mean/13.2/3.1") + "\\end{tabular}"),
    ("project\n├── README.md\n├── setup.py\n├── src\n" + rows("│   ├── {0}\n│   │   ├── __init__.py\n│   │   ├── models.py\n│   │   └── views.py\n", "accounts;billing;catalogue;delivery;search") + "└── tests\n    └── test_all.py",
     "site\n├── manage.py\n├── apps\n" + rows("│   ├── {0}\n│   │   ├── __init__.py\n│   │   ├── models.py\n│   │   └── views.py\n", "blog;forum;wiki;shop") + "└── LICENSE"),
    ("hi-hat |x-x-x-x-|x-x-x-x-|x-x-x-x-|x-x-x-xx|\nsnare  |----o---|----o---|----o---|----o-oo|\nkick   |o-----o-|o-----o-|o---o-o-|o-----o-|",
     "hi-hat |xxxxxxxx|xxxxxxxx|xxxxxxxx|xxxxxxx-|\nsnare  |--o---o-|--o---o-|--o---o-|--o---oo|\nkick   |o---o---|o---o---|o---o---|o---o---|"),
    (rows("{0:<10} IN  A      192.0.2.{1}\n", "@/1;www/1;mail/5;ns1/2;ns2/3;ftp/9;vpn/14;wiki/20;git/21;chat/22;db/40;cache/41"),
     rows("{0:<10} IN  A      198.51.100.{1}\n", "@/7;www/7;shop/8;mail/9;img/12;api/13;ns1/2;ns2/3")),
    (rows('"{0}" = "{1}";\n', "menu.file.open/Open;menu.file.save/Save;menu.file.close/Close;menu.edit.undo/Undo;menu.edit.redo/Redo;menu.edit.cut/Cut;menu.edit.copy/Copy;menu.view.zoom_in/Zoom in;menu.view.zoom_out/Zoom out;menu.help.about/About"),
     rows('"{0}" = "{1}";\n', "error.network/No connection;error.login/Wrong password;error.quota/Storage is full;error.file/File not found;error.server/Please try again;error.unknown/Something failed")),
)  # fmt: skip
OTHER = (
    (rows("{0}行の列車は{1}時{2}分に{3}番線から発車します。\n", "東京/8/05/1;大阪/8/40/3;名古屋/9/12/2;仙台/9/55/4;博多/10/30/1;金沢/11/08/5;広島/11/47/3"),
     rows("{0}行の列車は{1}時{2}分に{3}番線から発車します。\n", "京都/7/20/2;新潟/7/58/6;長野/8/31/4;青森/9/14/1")),
    (rows("{0}은 {1}에서 유명한 {2}입니다.\n", "비빔밥/전주/음식;감귤/제주/과일;닭갈비/춘천/요리;황남빵/경주/간식;대게/영덕/해산물;녹차/보성/차"),
     rows("{0}은 {1}의 {2}입니다.\n", "막국수/춘천/면;한우/횡성/고기;굴비/영광/생선;인삼/금산/약재")),
    (rows("{0} — столица страны {1}, население {2} млн.\n", "Париж/Франция/2,1;Рим/Италия/2,8;Мадрид/Испания/3,3;Вена/Австрия/1,9;Прага/Чехия/1,3;Афины/Греция/0,7;Осло/Норвегия/0,7"),
     rows("{0} ({1}): {2} млн жителей\n", "Берлин/Германия/3,7;Варшава/Польша/1,8;Будапешт/Венгрия/1,7;Лиссабон/Португалия/0,5")),
    (rows("{0} في {1} الساعة {2}\n", "الرياضيات/الأحد/8;العلوم/الأحد/10;التاريخ/الاثنين/8;اللغة العربية/الثلاثاء/9;الفنون/الأربعاء/11;الرياضة/الخميس/12"),
     rows("{0} في {1} الساعة {2}\n", "الفيزياء/السبت/8;الكيمياء/السبت/10;الأدب/الأحد/9;الموسيقى/الاثنين/13")),
    ("Bruder Jakob, Bruder Jakob,\nschläfst du noch? Schläfst du noch?\nHörst du nicht die Glocken? Hörst du nicht die Glocken?\nDing dang dong, ding dang dong.",
     "Frère Jacques, Frère Jacques,\ndormez-vous ? Dormez-vous ?\nSonnez les matines ! Sonnez les matines !\nDing dang dong, ding dang dong."),
)  # fmt: skip


def handmade_legitimate() -> Iterator[Sample]:
    """All of them."""
    for language, texts in (("en", EN), ("zh", ZH), ("code", CODE), ("other scripts", OTHER)):
        for i, (text, reference) in enumerate(texts):
            yield Sample(
                id=f"hand-legitimate-{language}-{i}",
                kind=f"hand-made legitimate {language}",
                text=text,
                reference=reference,
            )
