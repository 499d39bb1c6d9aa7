"""The published data standards: what each department's extract holds and how its columns become numbers.

One JSON file per dataset and version in `datasets/`; a published file never changes (see README.md). May import
pydantic and crypto. The files are public: error messages may quote their columns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from crypto.errors import DoudiError
from policies.standards.published import Publication, PublishedStandard

FORMAT_VERSION = 1
QUANTILE_KNOTS = 101

Role = Literal["key", "feature", "household", "outcome", "context"]
ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]


class _Published(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BilingualText(_Published):
    """One text in English and Chinese."""

    en: str
    zh: str


class NumberTransform(_Published):
    """A number becomes three values: its rank among the knots (−1 to 1), its standardised signed log, a missing flag.

    Knots are the quantiles at 0 %, 1 % … 100 % and may repeat: a repeated value takes the rank of its last repeat.
    `log_mean` and `log_std` are of sign(x)·log(1+|x|), with missing as 0.
    """

    kind: Literal["number"] = "number"
    knots: Annotated[tuple[float, ...], Field(min_length=QUANTILE_KNOTS, max_length=QUANTILE_KNOTS)]
    log_mean: float
    log_std: Annotated[float, Field(gt=0)]

    @property
    def width(self) -> int:
        """Return how many encoded values one number becomes."""
        return 3

    @model_validator(mode="after")
    def _knots_ascend(self) -> Self:
        if list(self.knots) != sorted(self.knots):
            raise ValueError("knots must not descend")
        return self


class CodeTransform(_Published):
    """A code becomes one 0/1 value per listed code, in this order, then one for missing if `has_missing`.

    A code that is not listed, being rare, becomes zeros only.
    """

    kind: Literal["code"] = "code"
    codes: Annotated[tuple[int, ...], Field(min_length=1)]
    has_missing: bool

    @model_validator(mode="after")
    def _codes_ascend(self) -> Self:
        if list(self.codes) != sorted(set(self.codes)):
            raise ValueError("codes must ascend")
        return self

    @property
    def width(self) -> int:
        """Return how many encoded values one code becomes."""
        return len(self.codes) + self.has_missing


class ColumnStandard(_Published):
    """What one column may hold. `missing_means` says why a value can be absent and is there exactly if one may be."""

    name: ColumnName
    title: BilingualText
    role: Role
    type: Literal["string", "integer", "code"]
    unit: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    codes: tuple[int, ...] | None = None
    code_titles: dict[str, BilingualText] | None = None
    missing: Literal["forbidden", "allowed"]
    missing_means: BilingualText | None = None
    sensitivity: Literal["low", "medium", "high"]
    transform: Annotated[NumberTransform | CodeTransform, Field(discriminator="kind")] | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        rules = {
            "only features have a transform, and all do": (self.role == "feature") == (self.transform is not None),
            "integers, and only they, have a range": (self.type == "integer") == (self.minimum is not None)
            and (self.minimum is None) == (self.maximum is None),
            "codes, and only they, have a code list": (self.type == "code") == (self.codes is not None),
            "only strings have a pattern": self.type == "string" or self.pattern is None,
            "missing_means is there exactly if missing is allowed": (self.missing == "allowed")
            == (self.missing_means is not None),
            "a transform fits its type": self.transform is None
            or {"number": "integer", "code": "code"}[self.transform.kind] == self.type,
            "transformed and titled codes are listed": self._known_codes() <= set(self.codes or ()),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError(f"column {self.name}: {'; '.join(broken)}")
        return self

    def _known_codes(self) -> set[int]:
        transformed = self.transform.codes if isinstance(self.transform, CodeTransform) else ()
        return set(transformed) | {int(code) for code in self.code_titles or {}}


class DatasetStandard(PublishedStandard):
    """One dataset of one department, the same in every region."""

    format_version: Literal[1]
    dataset: str
    version: Annotated[int, Field(ge=1)]
    department: str
    title: BilingualText
    key: str
    region_code_scheme: str
    source: str
    transform_regions: tuple[str, ...]
    transform_rows: int
    columns: Annotated[tuple[ColumnStandard, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_key_and_no_column_twice(self) -> Self:
        if len(set(self.column_names)) != len(self.columns):
            raise ValueError("a column is listed twice")
        if [column.name for column in self.columns if column.role == "key"] != [self.key]:
            raise ValueError("there must be one key column, named by `key`")
        return self

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the names of all columns, in the file's order."""
        return tuple(column.name for column in self.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the columns that a model may use, in the file's order."""
        return tuple(column.name for column in self.columns if column.role == "feature")

    def column(self, name: str) -> ColumnStandard:
        """Return one column. Raises `DoudiError` "standard.unknown_column"."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DoudiError("standard.unknown_column", f"dataset {self.dataset} v{self.version} has no column {name!r}")

    def transforms(self, columns: Sequence[str]) -> list[tuple[str, NumberTransform | CodeTransform]]:
        """Return name and transform of each column, in the order asked.

        Raises `DoudiError` "standard.unknown_column", or "standard.not_a_feature" for a key, household, outcome or
        context column: none of these may enter a model.
        """
        found = []
        for name in columns:
            column = self.column(name)
            if column.transform is None:
                raise DoudiError(
                    "standard.not_a_feature",
                    f"dataset {self.dataset} v{self.version}: column {name} has role {column.role}, expected feature",
                )
            found.append((name, column.transform))
        return found

    def encoded_width(self, columns: Sequence[str]) -> int:
        """Return how many encoded values a row has. Raises as `transforms` does."""
        return sum(transform.width for _, transform in self.transforms(columns))

    def published_as(self) -> tuple[str, int]:
        """Return the name and the version that the file must bear."""
        return self.dataset, self.version


_PUBLICATION = Publication(
    Path(__file__).parent / "datasets", DatasetStandard, "data standard", "standard.unknown", "standard.invalid"
)


def parse_dataset_standard(raw: bytes) -> DatasetStandard:
    """Return the standard in the bytes of its file.

    Raises `DoudiError` "standard.invalid": not JSON, unknown or missing fields, or parts that contradict each other.
    """
    return _PUBLICATION.parse(raw)


def available_standards() -> list[tuple[str, int]]:
    """Return dataset and version of every published standard, sorted."""
    return _PUBLICATION.available()


def load_dataset_standard(dataset: str, version: int = 1) -> DatasetStandard:
    """Return a published standard. Raises `DoudiError` "standard.unknown" for a name or version that is not published."""
    return _PUBLICATION.load(dataset, version)
