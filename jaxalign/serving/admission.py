"""Which responses may become examples: complete ones that are long enough, without personal data or secrets.

Personal data are found by ``datafog``'s patterns and secrets by ``bc-detect-secrets``' (both come with
``pip install 'jaxalign[serving]'``, and are loaded on the first call). Only functions are used that neither read files
nor reach the network: datafog's ``scan`` does not take part in its telemetry, and secrets are not verified with their
services. Patterns find what has a form: names and addresses in running text have none, and for IPv6 addresses the
library has no pattern. What may be shared between users needs their consent all the same.
"""

import collections
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

COMPLETE = "stop"  # the finish reason of an answer that its model ended
LEAST_REQUEST = 8  # characters without the blanks around: shorter requests ("yes", "go on") need their conversation
LEAST_RESPONSE = 1  # labels and numbers are answers
# Dates and ZIP codes are left out: each number of five digits counts as one, in 4 % of solved sums of GSM8K.
PERSONAL_DATA = ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP_ADDRESS")
_NOBODYS = ["127.0.0.1", "0.0.0.0", "255.255.255.255"]  # addresses that belong to no one

_WINDOW, _OVERLAP = 1024, 384  # characters of a text that are searched at once

# What the library misses in texts of this kind: keys of language models' servers, new kinds, and keys without a body.
_MORE_SECRETS = {
    "API Key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "GitHub Token": re.compile(r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
    "Private Key": re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
}


class Admission(NamedTuple):
    """Why a response may not become an example, without what was found; it may where there is no reason."""

    reasons: tuple[str, ...]  # such as "incomplete", "empty response", "personal data: EMAIL", "secret: JSON Web Token"

    @property
    def admitted(self) -> bool:
        """True where the response may become an example."""
        return not self.reasons


class AdmissionReport(NamedTuple):
    """How many responses were looked at, how many admitted, and how many had each reason against them."""

    total: int
    admitted: int
    refusals: dict[str, int]  # by falling number; a response may have several reasons


def admit(
    request: str,
    response: str,
    *,
    finish_reason: str | None,
    least_request: int = LEAST_REQUEST,
    least_response: int = LEAST_RESPONSE,
    personal_data: Sequence[str] = PERSONAL_DATA,
) -> Admission:
    """Says whether a response may become an example, with all reasons against it.

    Args:
      request: the text that was asked.
      response: the complete text of the answer.
      finish_reason: why the model ended, in the words of the OpenAI API. Only "stop" is complete: a stream that broke
        off (None), an answer cut at its limit ("length"), a tool call or a filtered answer is never admitted.
      least_request: the least length of a request in characters, without blanks around it.
      least_response: that of a response, at least 1.
      personal_data: which of datafog's kinds are refused, in requests and responses.

    Raises:
      ImportError: the libraries are missing; the message says what to install.
    """
    reasons = [] if finish_reason == COMPLETE else ["incomplete"]
    length = len(response.strip())
    if length < max(least_response, 1):
        reasons.append("short response" if length else "empty response")
    if len(request.strip()) < least_request:
        reasons.append("short request")
    for text in (request, response):
        reasons += [f"personal data: {kind}" for kind in _personal_data(text, personal_data)]
        reasons += [f"secret: {kind}" for kind in _secrets(text)]
    return Admission(tuple(dict.fromkeys(reasons)))


def report_admissions(admissions: Iterable[Admission]) -> AdmissionReport:
    """Counts what was admitted, and the refusals by their reasons.

    Args:
      admissions: what :func:`admit` said of each response.

    >>> report_admissions([Admission(()), Admission(("incomplete", "empty response")), Admission(("incomplete",))])
    AdmissionReport(total=3, admitted=1, refusals={'incomplete': 2, 'empty response': 1})
    """
    admissions = list(admissions)
    counts = collections.Counter(reason for each in admissions for reason in each.reasons)
    return AdmissionReport(len(admissions), sum(each.admitted for each in admissions), dict(counts.most_common()))


def _personal_data(text: str, kinds: Sequence[str]) -> list[str]:
    if not kinds:  # an empty list would mean all to the library
        return []
    find = functools.partial(_scan(), entity_types=list(kinds), allowlist=_NOBODYS)
    return sorted({entity.type for window in _windows(text) for entity in find(window).entities})


def _windows(text: str) -> Iterator[str]:
    """Parts of a text that overlap by 128 characters at least, cut at blanks where there are any.

    The library's patterns take time that grows with the square of the length: seconds for a line of 20,000 "=".
    """
    for start in range(0, max(len(text) - _OVERLAP, 1), _WINDOW - _OVERLAP):
        window = text[start : start + _WINDOW]
        if start:
            window = re.sub(r"^\S{0,127}(?=\s)", "", window)
        if start + _WINDOW < len(text):
            window = re.sub(r"(?<=\s)\S{0,127}$", "", window)
        yield window


def _secrets(text: str) -> list[str]:
    """The kinds of secrets in a text, line by line as the library wants it."""
    lines = text.splitlines()
    kinds = {kind for kind, pattern in _MORE_SECRETS.items() if pattern.search(text)}
    for detect in _detectors():
        kinds |= {kind for line in lines for kind in detect(line)}
    return sorted(kinds)


def _missing(library: str, error: ImportError) -> ImportError:
    return ImportError(
        f"admission needs {library}, which could not be imported ({error}); run pip install 'jaxalign[serving]'"
    )


@functools.cache
def _scan() -> Callable:
    try:
        from datafog.compat.v4 import scan
    except ImportError as error:
        raise _missing("datafog", error) from error
    return scan


@functools.cache
def _detectors() -> tuple[Callable[[str], list[str]], ...]:
    """Functions from a line to the kinds of secrets in it: the library's patterns, without its scanner of files.

    Its scanner's settings are global and its filters are for source code. Its detectors of entropy are left out: they
    take any quoted word for a key.
    """
    try:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
        from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP, KeywordDetector
    except ImportError as error:
        raise _missing("bc-detect-secrets", error) from error

    def detector(plugin):
        return lambda line: [plugin.secret_type for value in plugin.analyze_string(line) if value]

    keywords = KeywordDetector()

    def assignments(line):
        # The library passes over a line with "example" anywhere in it, as code has it; a chat's line is a paragraph.
        line = re.sub("example", "", line, flags=re.IGNORECASE)
        quoted = [value for value in keywords.analyze_string(line) if value]
        # Without quotes "the secret: patience" has the same form; a word with a digit in it is hardly prose.
        bare = keywords.analyze_string(line, CONFIG_DENYLIST_REGEX_TO_GROUP)
        bare = [value for value in bare if value and re.match(r"\s*(?=\S*\d)\S{6,}", value)]
        return [keywords.secret_type] if quoted or bare else []

    classes = get_mapping_from_secret_type_to_class().values()
    left_out = (HighEntropyStringsPlugin, KeywordDetector)
    return (assignments, *(detector(each()) for each in classes if not issubclass(each, left_out)))
