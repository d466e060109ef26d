"""Looping answers, made by a script: a clean beginning, then one of the ways in which models repeat themselves.

A loop is cut in the middle of a copy, as max_tokens cuts it, but for the ``bounded`` kind, which recovers.
References are ordinary answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from tests.benchmarks.scores.material import sentences, snippets
from tests.benchmarks.scores.ordinary import answer, paragraphs
from tests.benchmarks.scores.sample import REPORTED, TUNED, Sample

__all__ = ["looping"]

NOUNS = {
    "en": [
        "grief",
        "guilt",
        "rain",
        "music",
        "silver",
        "memory",
        "patience",
        "thunder",
        "laughter",
        "paper",
        "winter",
        "bread",
        "courage",
        "silence",
        "salt",
        "honey",
        "iron",
        "velvet",
        "money",
        "distance",
        "water",
        "darkness",
        "coffee",
        "freedom",
        "luck",
        "sorrow",
        "summer",
        "dust",
        "glass",
        "hunger",
        "justice",
        "kindness",
        "language",
        "marble",
        "nature",
        "order",
        "poetry",
        "reason",
        "safety",
        "time",
        "understanding",
        "victory",
        "wisdom",
        "youth",
        "zeal",
    ],
    "zh": [
        "快乐",
        "悲伤",
        "音乐",
        "雨水",
        "记忆",
        "耐心",
        "雷声",
        "笑声",
        "冬天",
        "面包",
        "勇气",
        "沉默",
        "盐",
        "蜂蜜",
        "钢铁",
        "金钱",
        "距离",
        "黑暗",
        "咖啡",
        "自由",
        "运气",
        "夏天",
        "灰尘",
        "玻璃",
        "饥饿",
        "正义",
        "善良",
        "语言",
        "自然",
        "秩序",
        "诗歌",
        "理性",
        "安全",
        "时间",
        "智慧",
        "青春",
        "热情",
        "友谊",
        "家庭",
        "健康",
    ],
}
TUNED_TEMPLATES = {
    "en": (
        "He is haunted by {}. ", "I feel the weight of {} in my heart. ",
        "The {} of the city never sleeps at night. ", "She dreams of {} and wakes before dawn.\n",
        "- Learn how to deal with {} in everyday life\n", "It is important to respect {}. ",
        "There is no life without {}, and no hope. ", "My favourite subject at school was {}, as you know. ",
        "We went to the market to buy {}. ", "The role of {} in modern society is often underestimated. ",
        "* **{}**: a key part of every successful strategy\n",
        "Q: What is {}?\nA: It is one of the most important things in life.\n",
        "The king gave the queen a gift of {}. ", "And then came {}, and everything changed again.\n",
        "You should always think about {} before you act. ", "{} is a gift that we must share with others. ",
        "The study of {} began in ancient Greece. ", "In the land of {} there lived a king.\n",
        "Some people say that {} cannot be bought or sold. ", "This recipe needs a little {} at the end. ",
        "Perhaps it was {} that kept them awake. ", "Nothing in the world is worse than {}.\n",
        "A little {} goes a long way. ", "I remember the {} of my childhood. ",
        "- How {} can improve your daily life\n", "Then the teacher explained {} to the class. ",
        "The doctor warned him about {} and the doctor was right. ",
        "Question: Why does {} matter?\nAnswer: Because it makes us human.\n\n",
        "Without {} the village would not survive the year. ", "They sang about {} until the fire went out.\n",
        "**{}** is essential for a healthy relationship.\n", "Oh {}, sweet {}, where have you gone?\n",
        "{} again, nothing but {}. ", "The old man spoke of {} and fell silent. ",
        "What would the world be without {}?\n", "* {} helps you to stay calm and focused\n",
        "My mother always told me to trust in {}. ", "We were promised {} but we never got it. ",
        "Dear {}, please come back to me.\n", "A day without {} is a lost day. ",
        "The fourth reason is {}, which everyone forgets. ",
        "Customer: Do you sell {}?\nClerk: No, we are out of that today.\n",
        "You cannot buy {} in any shop of this town.\n", "First there was {}, then there was peace. ",
    ),
    "zh": (
        "他被{}所困扰。", "我心里感到{}的重量。", "这座城市的{}从不入睡。", "她梦见{}，在黎明前醒来。\n", "- 学会在生活中面对{}的方法\n", "我们应该尊重{}。",
        "没有{}就没有生活，也没有希望。", "我在学校最喜欢的科目是{}。", "我们去市场买{}。", "{}在现代社会中的作用常常被低估。", "* **{}**：成功策略的重要组成部分\n",
        "问：什么是{}？\n答：它是生活中最重要的东西之一。\n", "国王送给王后一份{}作为礼物。", "然后{}来了，一切又改变了。\n", "行动之前一定要先想到{}。", "{}是我们必须与他人分享的礼物。",
        "对{}的研究始于古希腊。", "在{}的国度里住着一位国王。\n", "有人说{}是买不到也卖不掉的。", "这道菜最后需要加一点{}。", "也许是{}让他们睡不着。", "世界上没有什么比{}更糟糕。\n",
        "一点点{}就足够了。", "我记得童年时的{}。", "- {}如何改善你的日常生活\n", "然后老师给全班讲解了{}。", "医生提醒他注意{}，医生是对的。",
        "问题：为什么{}很重要？\n回答：因为它让我们成为人。\n\n", "没有{}，这个村子就熬不过这一年。", "他们歌唱{}，直到篝火熄灭。\n", "**{}**是健康关系的基础。\n",
        "啊，{}，亲爱的{}，你去了哪里？\n", "老人谈到{}，然后沉默了。", "如果世界没有{}会怎样？\n", "* {}能让你保持冷静和专注\n", "妈妈总是叫我相信{}。",
        "他们许诺给我们{}，但我们从未得到。", "亲爱的{}，请回到我身边。\n", "没有{}的一天是失去的一天。", "第四个原因是{}，大家都忘了。", "顾客：你们卖{}吗？\n店员：今天没有了。\n",
        "在这个镇上哪里也买不到{}。\n", "先有了{}，然后才有和平。", "又是{}，除了{}还是{}。",
    ),
    "code": (
        "    assert convert({!r}) == expected\n", "def handle_{}(request):\n    return render(request, template)\n\n",
        "    if name == {!r}:\n        return True\n", "print('the value of {} is', value)\n", "import {}\n",
        "        self.{} = None\n", "  const {} = await load(url);\n", "    case '{}':\n      return true;\n",
        "    config.set({!r}, default)\n", "function get_{}(id) {{\n  return store.find(id);\n}}\n\n",
        "    elif key == {!r}:\n        total += 1\n", "log.info('loading {} done')\n", "from lib import {}\n",
        "        delete this.{};\n", "  var {} = document.createElement('div');\n",
        "@pytest.mark.parametrize('{}', VALUES)\n", "  expect(screen.getByText('{}')).toBeVisible();\n",
        "    raise ValueError('{} is missing')\n", "  <Route path=\"/{}\" element={{<Page />}} />\n",
        "ALTER TABLE items DROP COLUMN {};\n", "    parser.add_argument('--{}', type=int, default=0)\n",
        "  public get{}() {{\n    return this.value;\n  }}\n", "kubectl delete pod {} --force\n",
        "#define {} (flags & 1)\n",
    ),
}  # fmt: skip
TUNED_NUMBERED = {
    "en": (
        "{}. {}\n", "{}. {} ", "Step {}: repeat the {} step\n", "{}) Think about {} again\n",
        "Day {}: I went home and wrote about {}.\n", "Chapter {}: {}\n", "{}. The {} of the people\n",
        "[{}] {} was here. ", "{} - {}\n", "Item {}: one more bag of {}\n", "On day {} the {} came back. ",
        "Rule {}: never talk about {}.\n", "#{} {}\n", "Verse {}\nOh the {} of the night\n", "({}) The {} is over. ",
        "Tip {}: drink more {}.\n", "Round {}\nThe {} wins.\n", "{}. {}: see above\n", "Room {} has {}. ",
        "Year {} of the {} came and went.\n",
    ),
    "zh": (
        "{}. {}\n", "{}、{} ", "第{}步：重复{}的步骤\n", "（{}）再想一想{}\n", "第{}天：我回家写下了{}。\n", "第{}章：{}\n", "{}. 人民的{}\n",
        "第{}，我们要珍惜{}。", "{} - {}\n", "第{}条：不得谈论{}。\n", "第{}次，{}又回来了。", "【{}】{}的夜晚\n", "{}）关于{}\n", "规则{}，珍惜{}；",
        "（{}）{}结束了。", "技巧{}：多想想{}。\n", "第{}轮\n{}获胜。\n", "{}、{}：同上\n", "{}号房间有{}。", "第{}年的{}来了又走。\n",
    ),
    "code": (
        "    x{0} = compute({0}, '{1}')\n", "case {}: return '{}';\n", "print({}, '{}')\n", "test_{0}: {1} ok\n",
        "  row[{}] = '{}';\n", "INFO step {} of {}\n", "t{0} = add(t{0}, '{1}')\n", "<li>{} {}</li>\n",
        "  list.add({}, \"{}\");\n", "WARN retry {} of {}\n", "v{0} = v{0} + {1}_step\n",
        "<option value=\"{}\">{}</option>\n",
    ),
}  # fmt: skip
# Written after the rules and thresholds were settled, and before any text of them was scored.
REPORTED_TEMPLATES = {
    "en": (
        "The sailors prayed for {} every night. ", "Today we will learn how to draw {}.\n",
        "If you lose your {}, you lose everything. ", "- The importance of {} in the workplace\n",
        "He wrote a long letter about {} to his brother. ", "Everybody needs {}, even the strongest of us. ",
        "Is it {}? No, it is not.\n", "The smell of {} filled the whole house. ",
        "In this chapter we discuss the meaning of {}.\n", "Thank you for the {} that you gave me. ",
        "Teacher: Who can define {}?\nClass: We do not know.\n", "The museum has a whole room full of {}. ",
    ),
    "zh": (
        "水手们每晚都为{}祈祷。", "今天我们来学习怎样画{}。\n", "如果你失去了{}，你就失去了一切。", "- {}在工作中的重要性\n", "他给弟弟写了一封关于{}的长信。",
        "每个人都需要{}，哪怕最坚强的人。", "是{}吗？不，不是。\n", "整个屋子都弥漫着{}的味道。", "本章讨论{}的含义。\n", "谢谢你送给我的{}。",
        "老师：谁能解释{}？\n全班：我们不知道。\n", "博物馆里有一整间屋子的{}。",
    ),
    "code": (
        "    logger.debug(\"entering %s\", \"{}\")\n", "  - {{ name: {}, enabled: true }}\n",
        "try:\n    load_{}()\nexcept OSError:\n    pass\n", "GRANT SELECT ON {} TO reader;\n",
        "    static final String {} = null;\n", "mkdir -p build/{}\n", "  <li class=\"item\">{}</li>\n",
        "    del self.{}\n",
    ),
}  # fmt: skip
REPORTED_NUMBERED = {
    "en": (
        "Note {}: the {} is empty.\n", "{}: {}!\n", "Minute {}. Still no {}. ", "Lesson {} is about {}.\n",
        "[{}] see the {} above\n", "Level {} complete. You found {}.\n",
    ),
    "zh": (
        "注{}：{}是空的。\n", "{}：{}！\n", "第{}分钟，还是没有{}。", "第{}课讲的是{}。\n", "[{}] 见上面的{}\n", "第{}关完成，你找到了{}。\n",
    ),
    "code": (
        "    assert row[{}] == '{}'\n", "epoch {}: {} saved\n", "  {{ id: {}, kind: '{}' }},\n",
        "DEBUG worker {} got {}\n",
    ),
}  # fmt: skip
TEMPLATES = {TUNED: TUNED_TEMPLATES, REPORTED: REPORTED_TEMPLATES}
NUMBERED = {TUNED: TUNED_NUMBERED, REPORTED: REPORTED_NUMBERED}
Unit = Callable[[Random, str], str]
Make = Callable[[Random, str, str, str], str]
"""Of the random draw, the language, what stands before the loop, and the half."""


def _word(draw: Random, language: str) -> str:
    if language == "code":
        return draw.choice(("0, ", "x = x; ", "}\n", "null, ", "pass\n", "<br>", "\\n", "end "))
    return draw.choice(NOUNS[language]) + (" " if language == "en" else draw.choice(("", "，")))


def _character(draw: Random, language: str) -> str:
    return draw.choice({"en": ("ha", "o", "la", "!", "0", "na", "x", "hm"), "zh": ("哈", "啊", "！", "的", "呜", "0", "好", "哈哈，"),
                        "code": ("0", "1,", "AA", "x", "f(", "((", "ab", "00")}[language])  # fmt: skip


def _phrase(draw: Random, language: str) -> str:
    if language == "code":
        lines = [line for line in draw.choice(snippets()).splitlines() if line.strip()]
        return draw.choice(lines) + "\n"
    sentence = draw.choice(sentences(language)).strip(".。")
    if language == "zh":
        size = draw.randint(4, 9)
        at = draw.randrange(max(1, len(sentence) - size))
        return sentence[at : at + size] + draw.choice(("，", "", "、"))
    words = sentence.split()
    at = draw.randrange(max(1, len(words) - 6))
    return " ".join(words[at : at + draw.randint(2, 6)]) + draw.choice((", ", " ", " and "))


def _sentence(draw: Random, language: str) -> str:
    if language == "code":
        lines = draw.choice(snippets()).splitlines(keepends=True)
        at = draw.randrange(max(1, len(lines) - 3))
        return "".join(lines[at : at + 3])
    return draw.choice(sentences(language)) + draw.choice((" ", "\n") if language == "en" else ("", "\n"))


def _paragraph(draw: Random, language: str) -> str:
    if language == "code":
        return draw.choice(snippets()) + "\n"
    joint = " " if language == "en" else ""
    return joint.join(draw.sample(sentences(language), draw.randint(3, 7))) + "\n\n"


def _exact(unit: Unit, fewest: int, most: int) -> Make:
    def make(draw: Random, language: str, before: str, _: str) -> str:
        one = unit(draw, language)
        copies = draw.randint(fewest, most)
        return before + (one * copies)[: len(one) * copies - draw.randrange(len(one))]

    return make


def _numbered(draw: Random, language: str, before: str, half: str) -> str:
    shape, noun = draw.choice(NUMBERED[half][language]), draw.choice(NOUNS["zh" if language == "zh" else "en"])
    start = draw.randint(1, 9)
    digits = "一二三四五六七八九"

    def number(i: int) -> str:
        if shape.startswith("第") and draw_hanzi:
            tens, ones = divmod(i, 10)
            return ("" if tens == 0 else "十" if tens == 1 else digits[min(tens, 9) - 1] + "十") + (
                digits[ones - 1] if ones else ""
            )
        return str(i)

    draw_hanzi = draw.random() < 0.5
    text = before + "".join(shape.format(number(i), noun) for i in range(start, start + draw.randint(20, 80)))
    return text[: len(text) - draw.randrange(4)]


def _templated(draw: Random, language: str, before: str, half: str) -> str:
    shape, nouns = draw.choice(TEMPLATES[half][language]), NOUNS["zh" if language == "zh" else "en"]
    text = before + "".join(_fill(shape, draw.choice(nouns)) for _ in range(draw.randint(12, 50)))
    return text[: len(text) - draw.randrange(4)]


def _fill(shape: str, noun: str) -> str:
    """The template with the noun in every slot."""
    return shape.format(*[noun] * shape.count("{"))


def _drifting(draw: Random, language: str, before: str, _after: str) -> str:
    for _ in range(draw.randint(3, 6)):
        before += _sentence(draw, language) * draw.randint(5, 12)
    return before


def _bounded(draw: Random, language: str, before: str, _: str) -> str:
    unit = _sentence(draw, language)
    after = draw.choice(snippets()) if language == "code" else paragraphs(draw, language, 3)
    return before[-3 * len(unit) :] + unit * draw.randint(5, 9) + after


KINDS: dict[str, Make] = {
    "character": _exact(_character, 80, 400),
    "word": _exact(_word, 30, 300),
    "phrase": _exact(_phrase, 10, 80),
    "sentence": _exact(_sentence, 5, 40),
    "paragraph": _exact(_paragraph, 3, 12),
    "numbered": _numbered,
    "templated": _templated,
    "drifting": _drifting,
    "bounded": _bounded,
}


def looping(count: int, half: str = TUNED) -> Iterator[Sample]:
    """``count`` texts of every kind and language for a half."""
    for kind, make in KINDS.items():
        for language in ("en", "zh", "code"):
            draw = Random(f"{kind} {language}, {half}, fifth split")
            for i in range(count):
                if language == "code":
                    before = "".join(draw.sample(snippets(), draw.randint(0, 2)))
                else:
                    before = paragraphs(draw, language, draw.randint(1, 8)) + draw.choice((" ", "\n", "\n\n"))
                text = make(draw, language, before, half)
                onset = len(before) if kind not in ("bounded", "drifting") else None
                yield Sample(
                    id=f"{kind}-{language}-{i}",
                    kind=f"{kind} {language}",
                    text=text,
                    reference=answer(draw, language),
                    loops=True,
                    onset=onset,
                )
