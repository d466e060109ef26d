"""Hand-made texts of the reported half: looping and legitimate ones, in styles that no other text of the benchmark has.

Written when the rules and thresholds were settled, and not scored before that. Traditional verse is in the public
domain, all else was written here.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.scores.handmade_legitimate import rows
from tests.benchmarks.scores.handmade_loops import each
from tests.benchmarks.scores.sample import Sample

__all__ = ["handmade_reported"]

LOOPS = {
    "en": (
        ("To whom it may concern,\n\nI am writing about the job. " + "I am a hard worker and I am a team player. " * 13, 53),
        ("The museum opens at ten. " + "For more information, please visit our website or call us. " * 11 + "For more", 25),
        ("Ingredients:\n" + "- 1 cup of sugar\n- 1 cup of flour\n" * 15, 13),
        ("He opened the letter and read it aloud: " + "\"My dearest Anna, I miss you. \" " * 18, 40),
        ("I think the answer is no. " + each("But what if it is about {w}? ", "money|family|work|time|health|fame|money|power|health|luck|work|family|trust|time|money"), 26),
        ("Top reasons to visit Wales:\n\n" + "".join(f"{i}. The beautiful beaches and the friendly people\n" for i in range(1, 26)), 29),
        ("She counted the sheep. " + "".join(f"Sheep number {i} jumped over the fence. " for i in range(1, 31)), 23),
        ("Our bank is " + "safe, secure, " * 40, 12),
        ("Once upon a time a mouse lived in a clock. " + "The clock struck one, the mouse ran up, the clock struck one, the mouse ran down. " * 7, 43),
        ("The essay has three parts.\n\n" + "Firstly, education is important. Secondly, education is important. Thirdly, education is important.\n\n" * 6, 28),
    ),
    "zh": (
        ("尊敬的领导：\n" + "我会努力工作，不辜负大家的期望。" * 15, 7),
        ("今天的天气预报：\n" + "晴转多云，多云转晴，" * 25, 9),
        ("小明的日记\n" + "".join(f"{i}月1日，今天我很开心，因为妈妈给我买了冰淇淋。\n" for i in range(1, 13)) * 2, 6),
        ("关于健康，我想说：" + each("多吃{w}对身体好。", "苹果|香蕉|白菜|萝卜|苹果|豆腐|香蕉|西瓜|白菜|鸡蛋|苹果|葡萄|豆腐|橙子|萝卜|西瓜"), 9),
        ("请稍等" + "。。。" * 90, 3),
        ("这篇文章讲述了一个故事。" + "故事里有一座山，山上有一座庙，庙里有一个和尚在讲故事。" * 10, 12),
    ),
    "code": (
        ("```js\nconst app = express();\n" + "app.use(express.json());\n" * 32, 29),
        ("int main() {\n" + "    if (x > 0) {\n        x--;\n    }\n" * 16, 13),
        ("Test output:\n" + "".join(f"ok {i} - should return the right value\n" for i in range(1, 45)), 13),
        ("\\begin{itemize}\n" + each("\\item The {w} of the system\n", "speed|safety|cost|speed|design|state|cost|shape|safety|price|speed|look|cost|size|state|design"), 16),
    ),
    "other scripts": (
        ("Hola. " + "Quiero decirte que te quiero mucho, mucho. " * 14, 6),
        ("Ответ: " + each("Нам нужна {w}. ", "вода|еда|помощь|вода|связь|школа|еда|работа|помощь|дорога|вода|защита|связь|земля"), 7),
        ("これは本です。" + "とても、とても、" * 30, 7),
    ),
}  # fmt: skip
TRAINS = "08:05/Leeds/York/3;08:40/Hull/Leeds/1;09:12/York/Durham/4;09:55/Derby/Leeds/2;10:30/York/Hull/6;11:08/Leeds/Derby/5;11:47/Durham/York/3"
BOOKS = "Emma/Jane Austen/1815;Middlemarch/George Eliot/1871;Dracula/Bram Stoker/1897;Kim/Rudyard Kipling/1901;Ulysses/James Joyce/1922;Orlando/Virginia Woolf/1928;Rebecca/Daphne du Maurier/1938;Animal Farm/George Orwell/1945"
METALS = "Iron/Fe/1,538;Copper/Cu/1,085;Gold/Au/1,064;Silver/Ag/962;Aluminium/Al/660;Zinc/Zn/420;Lead/Pb/327;Tin/Sn/232;Nickel/Ni/1,455;Titanium/Ti/1,668"
LEGITIMATE = {
    "en": (
        (rows("The {0} to {2} calls at {1} and leaves from platform {3}.\n", TRAINS), rows("{0} {1} to {2}, platform {3}\n", TRAINS)),
        (rows("{0} was written by {1} and first published in {2}. ", BOOKS), rows("{1} wrote {0} ({2}). ", BOOKS)),
        (rows("{0} (symbol {1}) melts at {2} degrees Celsius.\n", METALS), rows("- {0}, {1}: {2} °C\n", METALS)),
        ("This is the house that Jack built.\n\nThis is the malt\nThat lay in the house that Jack built.\n\nThis is the rat,\nThat ate the malt\nThat lay in the house that Jack built.\n\n"
         "This is the cat,\nThat killed the rat,\nThat ate the malt\nThat lay in the house that Jack built.\n\nThis is the dog,\nThat worried the cat,\nThat killed the rat,\nThat ate the malt\nThat lay in the house that Jack built.",
         "This is the key of the kingdom:\nIn that kingdom is a city,\nIn that city is a town,\nIn that town there is a street,\nIn that street there winds a lane,\nIn that lane there is a yard,\nIn that yard there is a house."),
        (rows("{0}, my love, was a {1}, a {1}, a {1},\n{0}, my love, was a {1}, and he lived by the {2}.\n\n", "John/miller/stream;Tom/sailor/sea;Will/hunter/wood"),
         rows("{0}, my dear, was a {1}, a {1}, a {1},\nand he slept in the {2}.\n\n", "Jack/baker/mill;Ned/farmer/barn")),
        (rows("Dear {0},\n\nthank you for the {1}. It was kind of you to think of us.\n\nYours,\nClara\n\n---\n\n", "Aunt May/teapot;Uncle Ted/blanket;Mrs Shaw/flowers;Peter/book;Lucy and Sam/vase"),
         rows("Dear {0},\n\nmany thanks for the {1}!\n\nYours,\nClara\n\n", "Grandma/quilt;Joe/lamp;Mr Reed/wine")),
        (rows("{i}. e{0} -> {1}: {2}\n", "4/pawn/opens the centre;5/pawn/takes space;6/bishop/guards the king;7/rook/joins the play;3/knight/is weak;8/queen/wins"),
         rows("{i}. d{0} -> {1}: {2}\n", "4/pawn/opens the game;5/knight/is strong;6/pawn/is cramped")),
        (rows("Anna is {0}, so she is {1} than Ben.\n", "tall/taller;old/older;fast/faster;rich/richer;kind/kinder;strong/stronger;brave/braver;quiet/quieter"),
         rows("The {0} one is {1} than the other.\n", "big/bigger;small/smaller;warm/warmer;cold/colder;near/nearer")),
    ),
    "zh": (
        (rows("{0}，字{1}，号{2}，{3}人。\n", "李白/太白/青莲居士/唐代诗;杜甫/子美/少陵野老/唐代诗;苏轼/子瞻/东坡居士/宋代词;陆游/务观/放翁/宋代诗;辛弃疾/幼安/稼轩/宋代词;李清照/易安/易安居士/宋代词;白居易/乐天/香山居士/唐代诗"),
         rows("{0}（字{1}，号{2}），{3}人。\n", "王维/摩诘/摩诘居士/唐代诗;欧阳修/永叔/醉翁/宋代文;黄庭坚/鲁直/山谷道人/宋代诗")),
        (rows("{0}节在农历{1}，人们{2}。\n", "春/正月初一/贴春联、放鞭炮;元宵/正月十五/吃汤圆、赏花灯;端午/五月初五/包粽子、赛龙舟;七夕/七月初七/穿针乞巧;中秋/八月十五/赏月、吃月饼;重阳/九月初九/登高、饮菊花酒"),
         rows("{0}节（{1}）：{2}。\n", "清明/四月五日/扫墓、踏青;冬至/十二月下旬/吃饺子;腊八/腊月初八/喝腊八粥")),
        ("小小的船儿摇啊摇，摇到外婆桥。外婆叫我好宝宝，又会哭来又会笑。\n小小的船儿摇啊摇，摇到外婆桥。外婆给我一块糕，吃得好，吃得饱。",
         "小燕子，穿花衣，年年春天来这里。小燕子，告诉你，今年这里更美丽。"),
        (rows("甲：{0}？\n乙：{1}。\n", "您贵姓/免贵姓王;您是哪里人/我是山东人;您做什么工作/我是中学老师;您喜欢吃什么/我爱吃面条;您周末做什么/我去爬山;您会说英语吗/会一点儿"),
         rows("甲：{0}？\n乙：{1}。\n", "几点了/三点半;去哪儿/去书店;买什么/买词典;怎么去/坐公交车")),
    ),
    "code": (
        (rows("@app.get(\"/{0}\")\ndef list_{0}():\n    return db.query({1}).order_by({1}.{2}).all()\n\n\n", "users/User/name;orders/Order/date;items/Item/price;carts/Cart/id;reviews/Review/stars"),
         rows("@app.post(\"/{0}\")\ndef create_{0}(data: {1}In):\n    return db.add({1}(**data.dict()))\n\n\n", "users/User;orders/Order;items/Item")),
        (rows("- name: {0}\n  uses: actions/{1}@v{2}\n", "Check out/checkout/4;Set up Python/setup-python/5;Cache packages/cache/4;Upload report/upload-artifact/4;Comment/github-script/7"),
         rows("- name: {0}\n  uses: actions/{1}@v{2}\n", "Fetch code/checkout/4;Set up Node/setup-node/4;Save/upload-artifact/4")),
        (rows(".nav-{0} {{ background: url(img/{0}.png) no-repeat {1}px {2}px; }}\n", "home/0/0;shop/0/-32;cart/0/-64;help/0/-96;mail/-32/0;user/-32/-32;exit/-32/-64"),
         rows(".icon-{0} {{ background-position: {1}px {2}px; }}\n", "up/0/0;down/0/-16;left/-16/0;right/-16/-16")),
        (rows("assertEquals({0}, Roman.parse(\"{1}\"));\n", "1/I;4/IV;5/V;9/IX;10/X;40/XL;50/L;90/XC;100/C;400/CD;500/D;900/CM;1000/M;1984/MCMLXXXIV"),
         rows("assertEquals(\"{1}\", Roman.format({0}));\n", "2/II;3/III;6/VI;8/VIII;11/XI;14/XIV;19/XIX;60/LX")),
        ("0000: 7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00\n0010: 03 00 3e 00 01 00 00 00 50 10 00 00 00 00 00 00\n0020: 40 00 00 00 00 00 00 00 98 36 00 00 00 00 00 00\n0030: 00 00 00 00 40 00 38 00 0d 00 40 00 1f 00 1e 00\n",
         "0000: 89 50 4e 47 0d 0a 1a 0a 00 00 00 0d 49 48 44 52\n0010: 00 00 01 00 00 00 01 00 08 06 00 00 00 5c 72 a8\n0020: 66 00 00 00 04 73 42 49 54 08 08 08 08 7c 08 64\n"),
    ),
    "other scripts": (
        (rows("{0} est la capitale de {1} et compte {2} habitants. ", "Paris/la France/2 100 000;Rome/l'Italie/2 800 000;Vienne/l'Autriche/1 900 000;Lisbonne/le Portugal/550 000;Prague/la Tchéquie/1 300 000"),
         rows("{0} ({1}) : {2} habitants. ", "Oslo/la Norvège/700 000;Athènes/la Grèce/640 000;Dublin/l'Irlande/590 000")),
        (rows("{0}は{1}で{2}位です。\n", "田中さん/百メートル走/一;鈴木さん/走り幅跳び/三;佐藤さん/水泳/二;高橋さん/柔道/一;伊藤さん/卓球/四;渡辺さん/弓道/二"),
         rows("{0}は{1}の選手です。\n", "山本さん/野球;中村さん/相撲;小林さん/テニス")),
        (rows("Das Wort „{0}“ hat {1} Buchstaben und {2} Silben.\n", "Haus/4/1;Garten/6/2;Fenster/7/2;Kartoffel/9/3;Eisenbahn/9/3;Schmetterling/13/3;Tomate/6/3"),
         rows("„{0}“: {1} Buchstaben, {2} Silben\n", "Baum/4/1;Apfel/5/2;Banane/6/3;Regenschirm/11/3")),
    ),
}  # fmt: skip


def handmade_reported() -> Iterator[Sample]:
    """All of them."""
    for language, loops in LOOPS.items():
        for i, (text, onset) in enumerate(loops):
            yield Sample(
                id=f"hand-reported-loop-{language}-{i}",
                kind=f"hand-made loop {language}",
                text=text,
                reference=None,
                loops=True,
                onset=onset,
            )
    for language, texts in LEGITIMATE.items():
        for i, (text, reference) in enumerate(texts):
            name = f"hand-reported-legitimate-{language}-{i}"
            yield Sample(id=name, kind=f"hand-made legitimate {language}", text=text, reference=reference)
