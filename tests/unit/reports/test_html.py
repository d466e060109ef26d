"""The page to forward: complete in itself, verdict first, and no text of a model ever becomes markup."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.reports.charts import distribution_chart, history_chart, loss_chart, paired_chart
from harness.reports.html_report import to_html
from harness.reports.markup import Html, el, join
from harness.reports.model import Report, TrainingFacts
from tests.support.builders import attempt, case, failed_gate, looped, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE

VOID = {"meta", "input", "br", "line", "polyline", "rect", "circle"}
REMOTE = re.compile(r"""\s(?:src|srcset|action|data|poster|xlink:href)\s*=|url\(|@import|<(?:iframe|object|link|img)""")


def cases_of(page: str) -> list[dict[str, Any]]:
    """The cases that a page carries."""
    (data,) = re.findall(r'<script type="application/octet-stream" id="data">([^<]*)</script>', page)
    found: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(data)))["cases"]
    return found


class Tree(HTMLParser):
    """Elements with their attributes' names, in order, and whether they nest."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_report(text: str) -> Report:
    """``text`` in every position that something read from outside can reach."""
    reasons = (Reason(rule=text, text=text, value=0.5, limit=0.1, repetition=True),)
    of = case(f"f/{text}", text, text, tags=(text,), system=text)
    return report(
        result(of, text, adapter=text, verdict=Verdict(Status.FAIL, reasons)),
        gate=failed_gate(text),
        training=TrainingFacts(text, text, {text: text}),
    )


# An empty text leaves out elements, which is not what this is about.
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items() if text])
def test_hostile_text_adds_no_element_and_no_attribute(text: str) -> None:
    """The page's tree is the same as with a harmless word in every position."""
    # A long text loses its middle to a note, which is a span.
    optional = {("span", ("class",))}
    found = [t for t in Tree(to_html(hostile_report(text))).tags if t not in optional]
    assert found == [t for t in Tree(to_html(hostile_report("word"))).tags if t not in optional]


def test_the_page_needs_nothing_but_itself() -> None:
    """No remote asset, no handler or style in an attribute, and links only within the page."""
    page = to_html(demo_report())
    tree = Tree(page)
    assert not {"link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in tree.tags}
    assert all(link.startswith("#") for link in tree.links)
    without_text = re.sub(r">[^<]*<", "><", page)
    assert not REMOTE.search(without_text)
    assert not [names for _, names in tree.tags if any(n.startswith("on") or n in ("style", "src") for n in names)]


def test_the_policy_allows_this_style_sheet_and_this_script_and_nothing_else() -> None:
    """Their hashes are in the policy, and the default is none."""
    page = to_html(demo_report(4))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#x27;none&#x27;" in policy
    for name, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src &#x27;sha256-{digest}&#x27;;" in policy
    assert "unsafe" not in policy


def test_every_link_in_the_page_leads_somewhere() -> None:
    """Each anchor exists once."""
    page = to_html(demo_report())
    for link in Tree(page).links:
        assert page.count(f'id="{link[1:]}"') == 1


def test_the_verdict_comes_first_and_broken_cases_before_all_others() -> None:
    """A reader who stops after one screen knows the outcome."""
    page = to_html(demo_report())
    text = Tree(page).text
    assert text.index("Gate: failed") < text.index("What v4.1 changed") < text.index("Cases")
    changes = [c["change"] for c in cases_of(page)]
    order = ["broken", "fixed", "still failing", "not judged", "still passing"]
    assert changes == sorted(changes, key=order.index)
    assert changes[0] == "broken"


def test_answers_of_both_adapters_stand_side_by_side_with_the_loop_marked() -> None:
    """The first copy is not marked, the second is, the bulk is a count."""
    answer, loops = looped("The sea.\n", "It rolls in and out again,\n", 60)
    page = to_html(report(result(case(), answer, loops), result(case(), "A new one.", adapter="v4.1")))
    (shown,) = cases_of(page)
    old, new = (side["attempts"][0]["parts"] for side in shown["sides"])
    assert old[1:3] == [["first", "It rolls in and out again,\n"], ["repeat", "It rolls in and out again,\n"]]
    assert old[3] == ["fold", "the same 6 words 58 more times"]
    assert new == [["plain", "A new one."]]


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "not-trained"])
def test_trained_on_stands_only_where_something_was_trained(trained: bool) -> None:
    """A comparison of two shipped versions trained on nothing."""
    training = TrainingFacts(adapter="v4.1") if trained else None
    page = to_html(report(result(case()), result(case(), adapter="v4.1"), training=training))
    assert ("trained on" in Tree(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)).text) is trained


def test_every_answer_of_a_case_is_there() -> None:
    """With several samples the one to show first is the first that did not pass."""
    answer, loops = looped("", "Round and round we go. ", 40)
    attempts = (attempt("Fine."), attempt(answer, loops, sample=1))
    both = CaseResult(case=case(), adapter="v4.0", attempts=attempts, verdict=attempts[1].verdict)
    (side,) = cases_of(to_html(report(both)))[0]["sides"]
    assert [a["verdict"] for a in side["attempts"]] == ["PASS", "FAIL"]
    assert side["shown"] == 1


def test_a_run_that_was_cut_short_is_not_shown_as_a_whole_one() -> None:
    """It says so beside the verdict."""
    assert "This run was interrupted" in Tree(to_html(report(result(), status="interrupted"))).text


def test_an_empty_run_still_makes_a_page() -> None:
    """Nothing to show is shown as nothing, not as a pass."""
    text = Tree(to_html(report())).text
    assert "No case was run" in text
    assert "Nothing judged" in text


def test_a_large_run_stays_small_enough_to_send() -> None:
    """200 looping cases on two adapters are under a megabyte."""
    assert len(to_html(demo_report(200)).encode()) < 1_000_000


def test_the_same_report_is_the_same_page() -> None:
    """Nothing depends on the clock or on an order that changes."""
    assert to_html(demo_report()) == to_html(demo_report())


def test_strings_are_escaped_and_elements_are_not() -> None:
    """Markup comes from el and from nothing else, also when pieces are joined with plus."""
    inner = el("b", "<i>")
    assert el("p", inner, "&", title='"') == '<p title="&quot;"><b>&lt;i&gt;</b>&amp;</p>'
    assert not isinstance(inner + "<i>", Html)
    assert join(inner + "<i>") == "&lt;b&gt;&amp;lt;i&amp;gt;&lt;/b&gt;&lt;i&gt;"


def test_a_loss_curve_needs_two_finite_points() -> None:
    """One point is no curve, and NaN is no point."""
    assert loss_chart(((1, 0.5),)) is None
    assert loss_chart(((1, 0.5), (2, float("nan")))) is None
    drawn = loss_chart(((1, 0.5), (2, 0.25)))
    assert drawn is not None
    assert "0.500 at step 1" in drawn


def test_a_long_training_draws_no_more_points_than_can_be_seen() -> None:
    """Ten thousand steps cost no more than six hundred."""
    drawn = loss_chart([(n, 1 / (n + 1)) for n in range(10_000)])
    assert drawn is not None
    assert len(drawn) < 20_000


def test_a_distribution_names_every_version_and_counts_every_case() -> None:
    """The bars of a version add up to its cases; nothing to count is no chart."""
    assert distribution_chart("Repetition", {"v4.0": []}) is None
    drawn = distribution_chart("Repetition", {"v4.0": [0.0, 0.01, 1.0], "v4.1": [0.5]}, 1.0)
    assert drawn is not None
    counts = [int(n) for n in re.findall(r"<title>[^<]*: (\d+)</title>", drawn)]
    assert sum(counts) == 4
    assert "v4.0: 0.01" in drawn


def test_before_and_after_counts_who_repeats_less() -> None:
    """Cases below the diagonal are counted as better, those above as worse."""
    assert paired_chart("a", "b", []) is None
    drawn = paired_chart("v4.0", "v4.1", [(1.0, 0.0), (0.9, 0.1), (0.0, 0.5), (0.2, 0.2)])
    assert drawn is not None
    assert "2 cases less, 1 more" in drawn


def test_history_needs_two_versions() -> None:
    """One point is no history; a missing repetition score leaves a gap in that line only."""
    assert history_chart([("v4.0", 0.5, 0.1)]) is None
    drawn = history_chart([("v4.0", 0.5, None), ("v4.1", 0.75, 0.1), ("v4.2", 1.0, 0.0)])
    assert drawn is not None
    assert drawn.count('class="passing"') == 4
    assert "v4.2: passing 100.0%" in drawn
