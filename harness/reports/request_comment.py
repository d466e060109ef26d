"""One comment on a pull request (GitHub) or merge request (GitLab), written once and updated by each later run.

The comment is found again by a hidden marker in its first line. Where it is, and the token, are in the variables that
the two systems set for their jobs, so a pipeline configures nothing. Only the standard library is used.

The token goes to the address that the job's own environment names and nowhere else: redirects are not followed. A reply
is read up to a limit, and within a deadline for each read.

Not supported: other systems; threads on lines of code. Trade-off: with a token that may edit every comment, the first
comment with the marker is updated, whoever wrote it.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from harness.errors import ReportError
from harness.safe.read import read_object
from harness.safe.secrets import keep_secret

__all__ = ["Thread", "find_thread", "post_comment"]

TIMEOUT = 20.0
"""Seconds for each read of a reply."""
MAX_BODY = 60_000
"""Characters of a comment; GitHub takes 65,536."""
_MAX_REPLY = 32 * 2**20
_PAGE = 100
_MAX_PAGES = 50
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Where the comments of a pull or merge request are."""

    system: Literal["GitHub", "GitLab"]
    name: str
    """For people: ``owner/project#7``."""
    comments: str
    """Address of the list, to which new ones are sent."""
    comment: str
    """Address of one, with ``{id}``."""
    method: str
    """How one is changed."""
    headers: Mapping[str, str]


def find_thread(environment: Mapping[str, str]) -> Thread | str:
    """The thread that this job belongs to, or why there is none."""
    if environment.get("GITHUB_REPOSITORY"):
        return _github(environment)
    if environment.get("CI_API_V4_URL"):
        return _gitlab(environment)
    return "this is no job of GitHub Actions or GitLab CI (neither GITHUB_REPOSITORY nor CI_API_V4_URL is set)"


def post_comment(thread: Thread, text: str, name: str = "badcases") -> Literal["created", "updated"]:
    """Write ``text`` as the thread's comment called ``name``: the earlier one is updated, else one is created.

    Raises:
        ReportError: the server refused, or did not answer.
    """
    marker = f"<!-- badcase-harness: {re.sub('[^A-Za-z0-9._ -]', '_', name)} -->"
    body = {"body": f"{marker}\n{_cut(text)}"}
    for comment in _comments(thread):
        if str(comment.get("body", "")).startswith(marker):
            address = thread.comment.format(id=quote(str(comment.get("id")), safe=""))
            status, _ = _send(thread, thread.method, address, body)
            if status == http.client.FORBIDDEN:
                # Somebody else's, which this token may not change.
                continue
            _expect(thread, thread.method, address, status)
            return "updated"
    status, _ = _send(thread, "POST", thread.comments, body)
    _expect(thread, "POST", thread.comments, status)
    return "created"


def _github(environment: Mapping[str, str]) -> Thread | str:
    token = environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN")
    if not token:
        return "GITHUB_TOKEN is not set; give it to the step, with the permission pull-requests: write"
    number = _github_number(environment)
    if number is None:
        return "this run of the workflow belongs to no pull request"
    repository = environment["GITHUB_REPOSITORY"]
    base = f"{environment.get('GITHUB_API_URL', 'https://api.github.com').rstrip('/')}/repos/{quote(repository)}/issues"
    return Thread(
        system="GitHub",
        name=f"{repository}#{number}",
        comments=f"{base}/{number}/comments",
        comment=f"{base}/comments/{{id}}",
        method="PATCH",
        headers={
            "Authorization": f"Bearer {_checked(token, 'GITHUB_TOKEN')}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )


def _github_number(environment: Mapping[str, str]) -> int | None:
    if match := re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", environment.get("GITHUB_REF", "")):
        return int(match[1])
    try:
        event = read_object(Path(environment.get("GITHUB_EVENT_PATH", "")))
        number = event["pull_request"]["number"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _gitlab(environment: Mapping[str, str]) -> Thread | str:
    number = environment.get("CI_MERGE_REQUEST_IID", "")
    if not number:
        return "this pipeline belongs to no merge request; run it for them (rules: merge_request_event)"
    token = environment.get("GITLAB_TOKEN")
    if not token:
        return "GITLAB_TOKEN is not set; make a project access token with the scope api, and give it to the job, masked"
    project = environment.get("CI_PROJECT_ID", "")
    base = f"{environment['CI_API_V4_URL'].rstrip('/')}/projects/{quote(project, safe='')}/merge_requests"
    notes = f"{base}/{quote(number, safe='')}/notes"
    return Thread(
        system="GitLab",
        name=f"{environment.get('CI_PROJECT_PATH', project)}!{number}",
        comments=notes,
        comment=f"{notes}/{{id}}",
        method="PUT",
        headers={"PRIVATE-TOKEN": _checked(token, "GITLAB_TOKEN")},
    )


def _checked(token: str, variable: str) -> str:
    keep_secret(token)
    if not _TOKEN.fullmatch(token):
        raise ReportError(f"{variable} holds a blank, a line end or another sign that no token has; set it again")
    return token


def _cut(text: str) -> str:
    """As much as a comment may hold; a code block that is cut is closed."""
    if len(text) <= MAX_BODY:
        return text
    kept = text[:MAX_BODY].rpartition("\n")[0]
    fence = "\n```" if sum(line == "```" for line in kept.splitlines()) % 2 else ""
    return f"{kept}{fence}\n\n(cut; the whole summary is in summary.md)\n"


def _comments(thread: Thread) -> Iterator[Mapping[str, Any]]:
    for page in range(1, _MAX_PAGES + 1):
        address = f"{thread.comments}?per_page={_PAGE}&page={page}"
        status, found = _send(thread, "GET", address)
        _expect(thread, "GET", address, status)
        if not isinstance(found, list):
            raise ReportError(f"{thread.system} did not answer with a list of comments of {thread.name}")
        yield from (comment for comment in found if isinstance(comment, dict))
        if len(found) < _PAGE:
            return


def _send(thread: Thread, method: str, address: str, body: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Status of the reply, and what it holds as JSON; None where that is no JSON.

    Raises:
        ReportError: there is no reply.
    """
    data = None if body is None else json.dumps(body).encode("utf-8")
    headers = {**thread.headers, "User-Agent": "badcase-harness", "Content-Type": "application/json"}
    try:
        place = urlsplit(address)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=TIMEOUT)
        try:
            connection.request(method, place._replace(scheme="", netloc="").geturl(), data, headers)
            response = connection.getresponse()
            reply = response.read(_MAX_REPLY)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ReportError(f"{thread.system}: {method} {address}: {type(error).__name__}: {error}") from error
    try:
        return response.status, json.loads(reply)
    except (ValueError, RecursionError):
        return response.status, None


def _expect(thread: Thread, method: str, address: str, status: int) -> None:
    if status not in (http.client.OK, http.client.CREATED):
        raise ReportError(f"{thread.system}: {method} {address}: status {status}{_HINTS.get(status, '')}")


_HINTS = {
    401: "; the token is wrong or has expired",
    403: "; the token may not write comments (GitHub: pull-requests: write, GitLab: scope api)",
    404: "; the token does not see this request, or its number is wrong",
}
