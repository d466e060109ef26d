"""Looping answers written by hand, in styles that the generator (loops.py) has not, to check it by.

Written before any of them was scored; in the half to tune on since then. Copies are spelt with ``*`` where a model would repeat to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.scores.sample import Sample

__all__ = ["each", "handmade_loops"]


def each(template: str, words: str, rounds: int = 1) -> str:
    """The template with each word in turn, a slot ``{w}`` and a count ``{i}``."""
    return "".join(template.format(w=w, i=i) for i, w in enumerate((words.split("|")) * rounds, 1))


EN = (
    ("Thank you for writing to us about the parcel. " + "I am sorry for the trouble this has caused you. " * 19 + "I am sorry for", 46),
    ("So the train leaves at nine. Let me check that.\n\n" + "Wait, that is not right. The train leaves at nine, so it arrives at eleven. Let me check that again.\n\n" * 9, 49),
    ("Whether coffee is healthy depends on many things. " + "However, it is important to note that " * 24 + "however", 50),
    ("This soup is easy.\n" + each("Add a pinch of {w}.\n", "salt|pepper|sugar|thyme|salt|cumin|ginger|salt|pepper|mint|sage|basil|nutmeg|salt|dill|pepper|cloves|curry|chilli|salt"), 19),
    ("He was born in Leeds. " + "".join(f"In {1950 + i} he moved to {w}. " for i, w in enumerate(("York", "Bath", "Hull", "Bath", "Ely") * 6)), 22),
    ("I will tell you about my aunt. " + each("She was {w}, and ", "kind|brave|clever|tired|strong|gentle|proud|loud|calm|honest|funny|wise|patient|warm|fair|loyal", 2), 31),
    ("It was a " + "very, " * 120 + "very", 9),
    ("You can read more at https://example.org/docs" + "/en/latest/guide" * 26, 45),
    ("We want x with 2x = 2.\n" + "Therefore x = 1. Hence x is 1.\n" * 14, 23),
    ("Dear Ms Hale,\n\nplease find the report attached.\n\n" + "Best regards,\nJohn\n\n" * 22, 49),
    ("The lessee shall pay the rent of the property of the " + "owner of the property of the " * 33, 53),
    ("| Name | Role | Desk |\n|---|---|---|\n| Ann | Clerk | 4 |\n" + "| | | |\n" * 70, 57),
    ("A fine photo of the beach! " + "#sun #sea #sand #love " * 28, 27),
    ("Tom: Good morning.\n" + "Ann: How are you?\nTom: I am fine, thank you. How are you?\n" * 13, 19),
    ("Our plan for growth is simple.\n\n" + "## Conclusion\n\nIn conclusion, growth matters to us all.\n\n" * 10, 32),
    ("Changes:\n" + "".join(f"Version 1.0.{i}: small fixes and better speed.\n" for i in range(1, 37)), 9),
    ("My year, day by day.\n" + "".join(f"January {i}: I am still waiting for the rain.\n" for i in range(1, 31)), 21),
    ("What makes a good leader?\n\n" + each("A good leader is a leader who understands {w}. ", "trust|people|time|change|people|money|risk|trust|failure|work|conflict|change|power|people|doubt|trust"), 27),
    ("The forest was dark. He heard a step behind him. " + "He turned around. Nobody was there. " * 15 + "He turned", 49),
    ("Once there was a town by a river. " + "The people of the town were happy because the mayor was happy, and the mayor was happy because the people of the town were happy. " * 5, 34),
)  # fmt: skip
ZH = (
    ("关于这个问题，我们可以从几个方面来看。" + "总之，坚持就是胜利，我们一定要坚持下去。" * 14, 19),
    ("学习方法如下：\n" + "".join(f"（{i}）认真听讲，按时完成作业；\n" for i in range(1, 28)), 8),
    ("生活是一本书。" + each("我们要学会珍惜{w}。", "时间|亲情|友情|生命|健康|时间|粮食|机会|友情|青春|自然|亲情|阳光|和平|健康|时间|水源|爱情"), 7),
    ("这个笑话太好笑了" + "哈" * 260, 8),
    ("产品介绍\n\n" + "本产品采用优质材料制成。经久耐用，老少皆宜。欢迎新老客户前来选购！\n\n" * 8, 6),
    ("写给你的诗：\n" + each("你是我心中的{w}，\n", "太阳|月亮|星星|大海|高山|春风|细雨|白云|灯塔|港湾|玫瑰|歌声|月亮|太阳|清泉|彩虹|星星|大海"), 7),
    ("客服：您好。\n" + "用户：我的订单在哪里？\n客服：您好，请问有什么可以帮您？\n" * 12, 7),
    ("没问题，" + "好的OK，收到Thanks，" * 25, 4),
    ("常用药物有" + "阿莫西林、头孢、布洛芬、" * 20, 5),
    ("他推开门，走进了房间。" + "房间里很安静，什么也没有。他又推开一扇门，走进了另一个房间。" * 9, 11),
    ("这首歌的歌词：\n" + "啦啦啦，啦啦啦，我是快乐的小行家，\n" * 17, 8),
    ("第一章 总则\n" + "".join(f"第{n}条 本条例由本委员会负责解释。\n" for n in "一二三四五六七八九十") + "".join(f"第十{n}条 本条例由本委员会负责解释。\n" for n in "一二三四五六七八九"), 7),
    ("公司的目标是成为行业第一" + "，为客户创造价值，为员工创造价值，为社会创造价值" * 12, 12),
)  # fmt: skip
CODE = (
    ("class Point:\n    def __init__(self, x):\n" + "        self.x = x\n" * 45, 40),
    ("The matrix is:\n\n" + "[" * 300, 16),
    ("[\n" + '  {"id": 1, "name": "Alice", "role": "admin"},\n' * 26, 2),
    ("SELECT * FROM orders WHERE paid = 1" + " AND total > 0 AND paid = 1" * 24, 35),
    ("def is_even(n):\n" + "".join(f"    if n == {i}:\n        return False\n" for i in range(1, 40)), 16),
    ("from .models import User\n" + each("from .models import {w}\n", "Post|Tag|Role|Post|Page|Like|Team|Tag|Role|Post|User|Page|Group|Tag|Post|Vote|User|Role|Page|Like|Team|Tag"), 0),
    ("<body>\n" + "<div>\n" * 130, 7),
    (".box {\n  margin: 0;\n" + "  padding: 0;\n  margin: 0;\n" * 30, 9),
    ("The key is: " + "QUFB" * 150, 12),
    ('Exception in thread "main" java.lang.StackOverflowError\n' + "\tat com.acme.Tree.depth(Tree.java:41)\n" * 44, 56),
    ("fn main() {\n" + '    println!("Hello, world!");\n' * 31, 12),
    ("#!/bin/sh\n" + each("echo \"Installing {w}...\"\nsleep 1\n", "curl|git|vim|curl|make|gcc|git|nano|curl|vim|make|tmux|git|zsh|curl|jq|htop|git"), 10),
)  # fmt: skip
OTHER = (
    ("むかしむかし、ある村に一人の男がいました。" + "そして、男は山へ行きました。" * 16, 21),
    ("안녕하세요. " + "오늘은 날씨가 좋아서 기분이 좋습니다. " * 17, 7),
    ("Хорошо, вот рассказ. " + "Он встал, подошёл к окну и снова сел. " * 15, 21),
    ("حسنا. " + "كان الرجل يمشي في الطريق الطويل. " * 16, 6),
    ("สวัสดีครับ " + "ฉันชอบกินข้าวกับเพื่อน" * 18, 11),
    ("Er saß am Fenster. " + each("Er dachte an die {w}. ", "Zeit|Stadt|Mutter|Zeit|Schule|Freiheit|Stadt|Arbeit|Liebe|Mutter|Zeit|Heimat|Schule|See|Stadt|Angst"), 19),
    ("Voici la réponse. " + "Il faut bien réfléchir avant de signer un contrat. " * 7 + "Ensuite, gardez une copie du document et notez la date de la signature dans votre agenda.", 18),
    ("Lista de deseos:\n" + "".join(f"{i}. Quiero ser feliz\n" for i in range(1, 41)), 17),
    ("ठीक है। " + "मैं रोज़ सुबह बाज़ार जाता हूँ। " * 16, 8),
    ("What a party! " + "🎉🎂🥳" * 60, 14),
)  # fmt: skip


def handmade_loops() -> Iterator[Sample]:
    """All of them, with where the loop starts; no reference: none is needed to tell."""
    for language, texts in (("en", EN), ("zh", ZH), ("code", CODE), ("other scripts", OTHER)):
        for i, (text, onset) in enumerate(texts):
            yield Sample(
                id=f"hand-loop-{language}-{i}",
                kind=f"hand-made loop {language}",
                text=text,
                reference=None,
                loops=True,
                onset=onset,
            )
