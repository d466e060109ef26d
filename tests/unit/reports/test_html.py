"""The page to forward: complete in itself, verdict first, and no text of a model ever becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from harness.judging.results import Reason, Status, Verdict
from harness.reports.chart import loss_chart
from harness.reports.html_report import to_html
from harness.reports.markup import Html, el, join
from harness.reports.model import Report, TrainingFacts
from tests.support.builders import case, failed_gate, looped, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE

VOID = {"meta", "input", "br", "line", "polyline"}
REMOTE = re.compile(
    r"""(?:src|srcset|action|data|poster|xlink:href)\s*=|url\(|@import|<(?:script|iframe|object|link|img)"""
)


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
    """No script, no remote asset, and links only within the page."""
    page = to_html(demo_report())
    tree = Tree(page)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in tree.tags}
    assert all(link.startswith("#") for link in tree.links)
    without_text = re.sub(r">[^<]*<", "><", page)
    assert not REMOTE.search(without_text)
    assert not [names for _, names in tree.tags if any(n.startswith("on") or n == "style" for n in names)]


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    """Its hash is in the policy, and the default is none."""
    page = to_html(demo_report(4))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#x27;none&#x27;" in policy
    assert f"style-src &#x27;sha256-{digest}&#x27;;" in policy
    assert "unsafe" not in policy


def test_every_link_in_the_page_leads_somewhere() -> None:
    """Each anchor exists once."""
    page = to_html(demo_report())
    for link in Tree(page).links:
        assert page.count(f'id="{link[1:]}"') == 1


def test_the_verdict_comes_first_and_broken_cases_before_all_others() -> None:
    """A reader who stops after one screen knows the outcome."""
    text = Tree(to_html(demo_report())).text
    order = [
        text.index(word)
        for word in ("Gate: failed", "Broken 1", "passed before, fails now", "failed before, passes now")
    ]
    assert order == sorted(order)
    assert text.index("failed before and now") < text.index("passed before and now")


def test_answers_of_both_adapters_stand_side_by_side_with_the_loop_marked() -> None:
    """The first copy is not marked, the second is, the bulk is a count."""
    answer, loops = looped("The sea.\n", "It rolls in and out again,\n", 60)
    page = to_html(report(result(case(), answer, loops), result(case(), "A new one.", adapter="v4.1")))
    assert page.count('class="side"') == 2
    assert '<span class="first">It rolls in and out again,\n</span><mark>It rolls in' in page
    assert "the same 6 words 58 more times" in page
    assert "A new one." in page


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
