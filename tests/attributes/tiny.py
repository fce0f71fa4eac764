"""A small task with attributes of each kind."""

from jaxalign.attributes import ClassAttribute, SharedAttribute, Task

STYLE = SharedAttribute("style", "writing style", ("interview", "3D report", "opinion"))
TOPIC = ClassAttribute(
    "topic",
    "subtopic",
    {"sport": ("100 m sprint", "chess"), "tech": ("3D printing", "2K Games", "chess"), "world": ("elections",)},
)
BRAND = ClassAttribute("brand", "brand", {"sport": ("3M",), "tech": ("Acme", "Bolt"), "world": ("UN",)}, filtered=False)
TASK = Task(
    "news article",
    {"sport": "sports", "tech": "science and technology", "world": "world news"},
    (STYLE, TOPIC, BRAND),
    {"sport": ("tech",), "tech": ("sport", "world")},
)
