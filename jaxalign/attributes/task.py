"""What is to be generated: classes, the attributes by which documents of a class vary, and how long documents are."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

LENGTH = "length"
"""The name under which a document's length stands among its attributes."""
OTHER = "other"
"""The value that leaves the choice to the writer; filtering adds it to each list of a class-dependent attribute."""


@dataclasses.dataclass(frozen=True)
class SharedAttribute:
    """An attribute whose values fit documents of every class, such as a writing style.

    Attributes:
      name: its key in files.
      phrase: what prompts call it, such as ``"writing style"``.
      values: its values as texts; () while none have been proposed.

    Raises:
      ValueError: naming the field and the remedy.
    """

    name: str
    phrase: str
    values: tuple[str, ...] = ()

    def __post_init__(self):
        _check_names(self)
        _check_values(f"attribute {self.name!r}, values", self.values)

    def values_of(self, label: str) -> tuple[str, ...]:
        """Returns the values for documents of a class, which are the same for all.

        Args:
          label: the class.
        """
        return self.values


@dataclasses.dataclass(frozen=True)
class ClassAttribute:
    """An attribute whose values depend on the class of a document, such as a subtopic.

    Attributes:
      name: its key in files.
      phrase: what prompts call it, such as ``"subtopic"``.
      values: for each label its values as texts; a label may be missing while none have been proposed.
      filtered: whether values that fit similar classes too are to be taken out; brands are left as they are.

    Raises:
      ValueError: naming the field and the remedy.
    """

    name: str
    phrase: str
    values: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    filtered: bool = True

    def __post_init__(self):
        _check_names(self)
        for label, values in self.values.items():
            _check_values(f"attribute {self.name!r}, values of class {label!r}", values)

    def values_of(self, label: str) -> tuple[str, ...]:
        """Returns the values for documents of a class; () if it has none.

        Args:
          label: the class.
        """
        return self.values.get(label, ())


Attribute = SharedAttribute | ClassAttribute


@dataclasses.dataclass(frozen=True)
class Task:
    """Everything that decides what documents are asked for; :func:`parse_task` reads it from a file.

    Attributes:
      document: the kind of document, such as ``"news article"``.
      classes: the name of each class as prompts say it, by its label.
      attributes: what documents of a class vary in, in the order of the prompts.
      similar: for each label the labels of the classes that are easily confused with it; a label may be missing.
      lengths: the least words of a document, one or several numbers to draw from; () leaves the length open.
      room: how many words a document may have beyond its least.
      labels_from: the name of a class-dependent attribute for tasks with several labels. A document has the labels of
        all classes under which its value of this attribute stands. "" for one label each.

    Raises:
      ValueError: naming the field and the remedy.

    Source: AttrPrompt (arXiv 2306.15895): lengths of 30 and 100 words with 50 more.
    """

    document: str
    classes: Mapping[str, str]
    attributes: tuple[Attribute, ...] = ()
    similar: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    lengths: tuple[int, ...] = (30, 100)
    room: int = 50
    labels_from: str = ""

    def __post_init__(self):
        check_text("document", self.document)
        if len(self.classes) < 2:
            raise ValueError(f"classes: expected at least 2, got {len(self.classes)}; write one line for each class")
        for label, name in self.classes.items():
            check_text("classes, a label", label)
            check_text(f"classes, the name of {label!r}", name)
        if twice := _repeated([name.casefold() for name in self.classes.values()]):
            raise ValueError(f"classes: the name {twice!r} stands twice; prompts tell classes apart by their names")
        if twice := _repeated([attribute.name for attribute in self.attributes]):
            raise ValueError(f"attributes: the name {twice!r} stands twice; rename or remove one of them")
        for attribute in self.attributes:
            if isinstance(attribute, ClassAttribute):
                self._check_labels(f"attribute {attribute.name!r}, values", attribute.values)
        self._check_similar()
        self._check_lengths()
        several = [each.name for each in self.attributes if isinstance(each, ClassAttribute)]
        if self.labels_from and self.labels_from not in several:
            raise ValueError(
                f"labels_from: expected the name of a class-dependent attribute, one of {several}, got "
                f"{self.labels_from!r}; leave it out for one label a document"
            )

    def attribute(self, name: str) -> Attribute:
        """Returns the attribute of a name.

        Args:
          name: its key.

        Raises:
          ValueError: there is none; the message has the names that there are.
        """
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        names = ", ".join(each.name for each in self.attributes) or "no attribute at all"
        raise ValueError(f"expected the name of an attribute, got {name!r}; the task has {names}")

    def with_attribute(self, attribute: Attribute) -> "Task":
        """Returns the task with one attribute put in the place of that of its name, or at the end.

        Args:
          attribute: the attribute with its new values.
        """
        kept = [attribute if each.name == attribute.name else each for each in self.attributes]
        new = [] if any(each.name == attribute.name for each in self.attributes) else [attribute]
        return dataclasses.replace(self, attributes=(*kept, *new))

    def _check_labels(self, field: str, labels: Sequence[str] | Mapping) -> None:
        for label in labels:
            if label not in self.classes:
                raise ValueError(
                    f"{field}: {label!r} is no label; expected one of {', '.join(self.classes)}, or add it to classes"
                )

    def _check_similar(self) -> None:
        self._check_labels("similar", self.similar)
        for label, others in self.similar.items():
            self._check_labels(f"similar, classes of {label!r}", others)
            if label in others:
                raise ValueError(f"similar: {label!r} stands in its own list; remove it there")
            if twice := _repeated(others):
                raise ValueError(f"similar, classes of {label!r}: {twice!r} stands twice; remove one of them")

    def _check_lengths(self) -> None:
        for length in self.lengths:
            check_count("lengths", length, "words")
        if twice := _repeated(self.lengths):
            raise ValueError(f"lengths: {twice} stands twice; remove one of them")
        check_count("room", self.room, "words")


def check_text(field: str, text: object) -> None:
    """Raises ValueError, with the name of the field, unless a text is one line without blanks around it."""
    if not isinstance(text, str):
        raise ValueError(f"{field}: expected a text, got {text!r}; put it into quotes")
    if not text.strip() or text != text.strip() or len(text.splitlines()) != 1:
        raise ValueError(f"{field}: expected one line without blanks around it, got {text!r}; write it so")


def check_count(field: str, count: object, unit: str) -> None:
    """Raises ValueError, with the name of the field, for anything that is no whole number above 0."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{field}: expected whole numbers of {unit} above 0, got {count!r}; write them without quotes")


def _check_names(attribute: Attribute) -> None:
    check_text("attribute, name", attribute.name)
    check_text(f"attribute {attribute.name!r}, phrase", attribute.phrase)
    if attribute.name == LENGTH:
        raise ValueError(f"attribute {LENGTH!r}: the length of documents has a field of its own; write lengths = [30]")


def _check_values(field: str, values: Sequence[str]) -> None:
    for value in values:
        check_text(field, value)
    if twice := _repeated(values):
        raise ValueError(f"{field}: {twice!r} stands twice; remove one of them")


def _repeated(items: Sequence) -> object:
    """The first item that has stood before, or None."""
    return next(_repeats(items), None)


def _repeats(items: Sequence) -> Iterator:
    seen = set()
    for item in items:
        if item in seen:
            yield item
        seen.add(item)
