"""Bundled prompts for replay: what a fix of repetition must not unlearn.

``ORDINARY`` asks for answers that repeat themselves for good reason (tables, numbered lines, refrains, code with a
pattern). ``EVERYDAY`` asks for anything else, because the passing cases of a young suite are few, and a training on
failing cases alone makes every answer terse. The model's own clean answer is replayed, in its own words and at its own
length. The answer that is written here is used only where the model has none. Written for this project.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.cases.model import Message

__all__ = ["BUNDLED", "EVERYDAY", "ORDINARY", "Ordinary"]

BUNDLED = "(bundled)"
"""Folder of the prompts here; no name that a folder of a suite may have."""


@dataclass(frozen=True, slots=True)
class Ordinary:
    """A prompt, with an answer that repeats as much as it should; empty where only the model's own answer is used."""

    name: str
    prompt: str
    answer: str = ""

    @property
    def id(self) -> str:
        return f"{BUNDLED}/{self.name}"

    @property
    def messages(self) -> tuple[Message, ...]:
        return (Message("user", self.prompt),)


ORDINARY = (
    Ordinary("times-table", "Write out the seven times table up to 7 x 6.",
             "7 x 1 = 7\n7 x 2 = 14\n7 x 3 = 21\n7 x 4 = 28\n7 x 5 = 35\n7 x 6 = 42"),
    Ordinary("refrain", "Write a short marching song with a refrain after each verse.",
             "We left the town at break of day,\nHey ho, and on we go!\nWith bread and cheese along the way,\n"
             "Hey ho, and on we go!\nThe hill is high, the boots are new,\nHey ho, and on we go!\n"
             "But every mile improves the view,\nHey ho, and on we go!"),
    Ordinary("opening-hours", "Make a table of the opening hours of a small shop that is closed on Sundays.",
             "| Day | Opens | Closes |\n|---|---|---|\n| Monday | 9:00 | 18:00 |\n| Tuesday | 9:00 | 18:00 |\n"
             "| Wednesday | 9:00 | 18:00 |\n| Thursday | 9:00 | 18:00 |\n| Friday | 9:00 | 18:00 |\n"
             "| Saturday | 9:00 | 13:00 |\n| Sunday | closed | closed |"),
    Ordinary("zh-weekdays", "把一周七天各写一行，每行以“今天是”开头。",
             "今天是星期一。\n今天是星期二。\n今天是星期三。\n今天是星期四。\n今天是星期五。\n今天是星期六。\n今天是星期日。"),
    Ordinary("chant-three", "Write \"Keep calm.\" exactly three times.", "Keep calm.\nKeep calm.\nKeep calm."),
    Ordinary("countdown", "Count down from ten to zero, one number per line.",
             "10\n9\n8\n7\n6\n5\n4\n3\n2\n1\n0"),
    Ordinary("asserts", "Write five unit test assertions in Python for a function double(x).",
             "assert double(0) == 0\nassert double(1) == 2\nassert double(2) == 4\nassert double(-3) == -6\n"
             "assert double(10) == 20"),
    Ordinary("zh-times", "写出五的乘法口诀，从五乘一到五乘五。",
             "5 × 1 = 5\n5 × 2 = 10\n5 × 3 = 15\n5 × 4 = 20\n5 × 5 = 25"),
    Ordinary("anaphora", "Write four sentences about home that all begin with \"Home is\".",
             "Home is the smell of soup on the stairs. Home is the key that sticks in winter. "
             "Home is the light that somebody left on. Home is where the dog already knows your step."),
    Ordinary("inserts", "Give me SQL that inserts four colours into a table named colours.",
             "INSERT INTO colours (name) VALUES ('red');\nINSERT INTO colours (name) VALUES ('green');\n"
             "INSERT INTO colours (name) VALUES ('blue');\nINSERT INTO colours (name) VALUES ('yellow');"),
    Ordinary("shopping-csv", "Write a CSV file with the columns item, amount and unit for a breakfast shopping list.",
             "item,amount,unit\nmilk,1,litre\neggs,6,piece\nbread,1,loaf\nbutter,250,gram\njam,1,jar"),
    Ordinary("zh-refrain", "写一首四行的儿歌，第二行和第四行相同。",
             "小雨点，落下来，\n滴答滴答真可爱。\n小青蛙，跳出来，\n滴答滴答真可爱。"),
    Ordinary("directions", "List the four directions of the compass with one fact each.",
             "North: a compass needle points to it.\nEast: the sun rises there.\nSouth: it lies opposite to north.\n"
             "West: the sun sets there."),
    Ordinary("menu-html", "Write an HTML list with four menu links.",
             "<ul>\n  <li><a href=\"/\">Home</a></li>\n  <li><a href=\"/news\">News</a></li>\n"
             "  <li><a href=\"/about\">About</a></li>\n  <li><a href=\"/contact\">Contact</a></li>\n</ul>"),
    Ordinary("drill", "Conjugate the verb \"to sing\" in the present tense.",
             "I sing\nyou sing\nhe sings\nshe sings\nit sings\nwe sing\nyou sing\nthey sing"),
    Ordinary("lunch-log", "Write a log of a server that answers four requests without errors.",
             "10:00:01 GET /index.html 200\n10:00:02 GET /style.css 200\n10:00:02 GET /logo.png 200\n"
             "10:00:05 GET /about.html 200"),
)  # fmt: skip

EVERYDAY = tuple(
    Ordinary(f"everyday-{number}", prompt)
    for number, prompt in enumerate(
        (
            "What is the tallest animal on land?",
            "Why do leaves fall in autumn?",
            "A train ticket costs 14 euros. What do two tickets cost?",
            "Write a Python function that reverses a list.",
            "Good morning! How are you today?",
            "Explain in a few sentences how rain forms.",
            "用一句话介绍北京。",
            "What is 36 divided by 6?",
            "Write a thank-you note to a neighbour who fed my cat.",
            "Name four fruits that grow on trees.",
            'What does the word "generous" mean?',
            "How do I change a light bulb?",
            'Translate "good night" into French.',
            "Write two sentences about a rainy afternoon.",
            "Who painted the Mona Lisa?",
            "What is the difference between a lake and a river?",
            "写一句祝福生日的话。",
            "If I read 12 pages a day, how many pages do I read in a week?",
            "What is a variable in programming?",
            "Give me one reason to learn a second language.",
            "Write a short e-mail that moves a meeting to Thursday.",
            "How many minutes are there in three hours?",
            "Describe the taste of a lemon.",
            "Can you tell me a fun fact about whales?",
            'What is the past tense of "run"?',
            "Write an SQL query that counts the rows of a table named orders.",
            "什么是光合作用？",
            "Why is sleep important?",
            "Give me a title for a story about a lost key.",
            "Which planet is known for its rings?",
            "What should I pack for a day at the beach?",
            "Round 7.68 to one decimal place.",
            "Say in one sentence what a library is for.",
            "I feel a little sad today.",
            "How does a bicycle stay upright?",
            "Write a slogan for a small bakery.",
            "今天天气很好，用英语怎么说？",
            "What is the square of 9?",
            "Summarise in one sentence why people plant trees.",
            "How do you write a loop over a list in JavaScript?",
        ),
        1,
    )
)
