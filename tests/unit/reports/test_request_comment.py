"""One comment on the pull or merge request, written once and updated; the token goes nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ReportError
from harness.reports.request_comment import MAX_BODY, Thread, find_thread, post_comment
from tests.support.forge import Forge, running_forge


@pytest.fixture
def forge() -> Iterator[Forge]:
    with running_forge() as server:
        yield server


def thread_of(environment: dict[str, str]) -> Thread:
    thread = find_thread(environment)
    assert isinstance(thread, Thread)
    return thread


@pytest.fixture(params=["github", "gitlab"])
def thread(request: pytest.FixtureRequest, forge: Forge) -> Thread:
    return thread_of(getattr(forge, request.param))


def test_the_comment_is_created_once_and_updated_then(forge: Forge, thread: Thread) -> None:
    """A request with ten pushes has one comment, and it is the newest."""
    forge.comments.append({"id": 1, "body": "a person's words"})
    assert [post_comment(thread, text) for text in ("first", "second", "third")] == ["created", "updated", "updated"]
    person, own = forge.comments
    assert person["body"] == "a person's words"
    assert own["body"].splitlines() == ["<!-- badcase-harness: badcases -->", "third"]


def test_each_suite_has_a_comment_of_its_own(forge: Forge, thread: Thread) -> None:
    """By name; a name cannot end the marker."""
    for name in ("night", "day", "night", "a --> <b>"):
        post_comment(thread, name, name)
    assert [c["body"].splitlines()[0] for c in forge.comments] == [
        "<!-- badcase-harness: night -->", "<!-- badcase-harness: day -->", "<!-- badcase-harness: a --_ _b_ -->",
    ]  # fmt: skip


def test_the_comment_is_found_on_a_later_page(forge: Forge, thread: Thread) -> None:
    """Long requests have hundreds of comments."""
    forge.comments += [{"id": n, "body": "talk"} for n in range(1, 250)]
    post_comment(thread, "first")
    forge.comments += [{"id": n, "body": "talk"} for n in range(251, 400)]
    assert post_comment(thread, "second") == "updated"
    assert len(forge.comments) == 399


def test_a_comment_of_somebody_else_with_the_marker_is_left(forge: Forge, thread: Thread) -> None:
    """Where the token may not change it, an own one is written."""
    forge.comments.append({"id": 1, "body": "<!-- badcase-harness: badcases -->\nALL PASSED"})
    forge.locked.add(1)
    assert [post_comment(thread, "first"), post_comment(thread, "second")] == ["created", "updated"]


def test_a_long_summary_is_cut_with_its_code_block_closed(forge: Forge, thread: Thread) -> None:
    """The systems refuse longer ones."""
    post_comment(thread, "```\n" + "a line of a summary\n" * 5_000 + "```\n")
    (comment,) = forge.comments
    assert len(comment["body"]) < MAX_BODY + 200
    assert comment["body"].count("```") == 2


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "expired"), (403, "may not write"), (404, "see"), (500, "500"), (302, "302")]
)
def test_a_refusal_is_one_line_without_the_token(forge: Forge, thread: Thread, status: int, hint: str) -> None:
    """With what to do; a redirect is not followed."""
    forge.status = status
    with pytest.raises(ReportError, match=hint) as caught:
        post_comment(thread, "text")
    assert forge.token not in str(caught.value)
    assert len(forge.asked) == 1


def test_no_server_is_one_line(thread: Thread, forge: Forge) -> None:
    """A pipeline without a network."""
    forge.shutdown()
    forge.server_close()
    with pytest.raises(ReportError, match="Refused"):
        post_comment(thread, "text")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "no job of GitHub Actions or GitLab CI"),
        ({"GITHUB_REPOSITORY": "a/b"}, "GITHUB_TOKEN is not set"),
        ({"GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": "t", "GITHUB_REF": "refs/heads/main"}, "no pull request"),
        ({"CI_API_V4_URL": "http://x", "GITLAB_TOKEN": "t"}, "no merge request"),
        ({"CI_API_V4_URL": "http://x", "CI_MERGE_REQUEST_IID": "7"}, "GITLAB_TOKEN is not set"),
    ],
    ids=["nowhere", "github-token", "github-push", "gitlab-push", "gitlab-token"],
)
def test_where_there_is_nothing_to_write_on_a_line_says_so(variables: dict[str, str], reason: str) -> None:
    """Runs at home, pushes without a request, forks without a token."""
    assert reason in str(find_thread(variables))


def test_the_number_of_a_pull_request_comes_from_the_event(tmp_path: Path) -> None:
    """Workflows for pull_request_target have the branch as their ref."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12}}))
    found = {
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": "t",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_EVENT_PATH": str(event),
    }
    assert thread_of(found).comments == "https://api.github.com/repos/a/b/issues/12/comments"


@pytest.mark.parametrize("token", ["two words", "line\nend", "t\u00f6ken"])
def test_a_token_that_would_add_a_header_is_refused(token: str) -> None:
    """A secret with a line end at its end is a common slip."""
    with pytest.raises(ReportError, match="GITHUB_TOKEN holds"):
        find_thread({"GITHUB_REPOSITORY": "a/b", "GITHUB_REF": "refs/pull/1/merge", "GITHUB_TOKEN": token})
