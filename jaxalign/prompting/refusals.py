r"""Refusals by their form: a text in which a model declines, and says nothing else.

A sentence declines where its own writer ("I") cannot or will not do what a model is asked to do: write, help, provide.
Around it may stand apologies, reasons and offers. One sentence that is none of these makes the text a document.
"""

import re

_APOLOGY = (
    r"(?:i\s*(?:'m|am)\s+(?:(?:very|so|really|truly)\s+)?(?:sorry|afraid)|(?:my\s+)?(?:sincere\s+)?apologies|sorry|"
    r"i\s+apologi[sz]e)"
)
_MODEL = r"as\s+an?\s+(?:ai|artificial|language|large)\b[^,.;]*"
_LEAD = rf"(?:(?:{_APOLOGY}|unfortunately|regrettably|{_MODEL})[,;:.\s]+(?:(?:but|that|and)\s+)?)*"
_I = r"(?:i|we)\b\s*(?:(?:really|simply|just|unfortunately|must|have\s+to)\s+)?"
_AM = r"(?:'m|am|are|'re)\s+"
_CANNOT = (
    rf"(?:cannot|can\s+not|can't|won't|will\s+not|(?:{_AM})?(?:unable|not\s+able)\s+to|(?:must\s+)?(?:decline|refuse)\s+to|"
    rf"{_AM}not\s+(?:allowed|permitted|programmed|designed|comfortable)(?:\s+to)?|do(?:n't|\s+not)\s+feel\s+comfortable)"
)
# What a model is asked to do; a critic who cannot recommend a film refuses nothing, nor one who cannot do it justice.
_MADE = (
    r"(?:generat(?:e|ing)|provid(?:e|ing)|produce|creat(?:e|ing)|compose|writ(?:e|ing)|answer|discuss|offer)\s+(?:you\s+)?"
    r"(?:(?:that|this|these|your|such|the|any|an?)\b(?!.*\boff\b)|(?:content|texts?|reviews?|articles?|posts?|information|"
    r"material|personal|fake|false|hateful|harmful|misleading)\b)"
)
_HELPED = (
    r"(?:help|assist|comply|continue|engage|respond|participate)(?:\s+(?:you\s+)?(?:with|in|to)\b|(?:\s+you)?\W*$)"
)
_FULFILLED = (
    r"(?:fulfil+|complete|process|perform|answer)\s+(?:that|this|your|such|the)\s+(?:\w+\s+)?(?:request|task|prompt)"
)
_DEED = rf"(?:{_MADE}|{_HELPED}|{_FULFILLED}|do\s+(?:that|this|so|it)\W*$|(?:write|comply|help|assist)\W*$)"
_DENIALS = (
    rf"{_LEAD}{_I}{_CANNOT}\s+(?:\w+ly\s+)?{_DEED}",
    rf"{_LEAD}{_I}(?:don't|do\s+not|can't|cannot)\s+have\s+(?:personal|access|the\s+ability|opinions|feelings)\b",
    rf"{_LEAD}(?:this|that|your)\s+request\s+(?:\w+\s+){{0,3}}(?:violates|goes\s+against|is\s+(?:against|inappropriate))\b",
)
_BAD = r"(?:inappropriate|unethical|harmful|offensive|against|policy|policies|guidelines|appropriate|ethical)"
_OFFERS = r"(?:be\s+(?:happy|glad)|help|suggest|offer|assist)"
_FOLLOWING = (
    rf"{_APOLOGY}(?:\s+(?:for|about|if)\b.*|\W*$)",
    rf"{_MODEL}",
    r"(?:please|if\s+(?:you|there)|is\s+there|can\s+i|may\s+i|how\s+(?:can|may|else)|what\s+else|let\s+me\s+know|feel\s+free"
    r"|thank\s+you|my\s+(?:purpose|guidelines|goal))\b",
    r"(?:however|instead|but),?\s+(?:i|if\s+you|please|feel|let)\b",
    rf"i\s*(?:'d|would|can|could|will|'ll)\b.{{0,20}}\b{_OFFERS}\b",
    rf"i\s*{_AM}(?:(?:just|only)\s+)?(?:an?\s+(?:ai|artificial|language|large)|here|designed|programmed)\b",
    rf"(?:it|that|this|doing\s+so|such\s+content)\s+(?:is|would\s+be|goes|violates|may\s+be|could\s+be)\b.{{0,40}}\b{_BAD}\b",
)
_DENIAL, _AROUND = (re.compile("|".join(forms), re.IGNORECASE) for forms in (_DENIALS, _FOLLOWING))


def is_refusal(text: str) -> bool:
    """Says whether a text is nothing but a refusal: each sentence declines, apologises or offers something else.

    A word such as "sorry" makes none, and a text that says something besides is none.

    Args:
      text: what a model said after any thinking.

    >>> is_refusal("Sorry, but I cannot write this review. Is there anything else?")
    True
    >>> is_refusal("I'm sorry, but I cannot recommend this film. I can't help but yawn.")
    False
    """
    said = " ".join(text.replace("’", "'").split()).strip('"“” ')
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+", said) if sentence.strip()]
    declined = [bool(_DENIAL.match(sentence)) for sentence in sentences]
    return any(declined) and all(
        no or _AROUND.match(sentence) for no, sentence in zip(declined, sentences, strict=True)
    )
