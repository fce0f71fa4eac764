import json

import numpy as np
import pytest

from jaxalign import protein
from tests.protein import files

NONE = []


def terms(labels):
    return {task: [indices.tolist() for indices in labels.terms[task]] for task in protein.TASKS}


@pytest.fixture
def sources(tmp_path):
    return files.write_sources(tmp_path)


def test_a_chain_has_its_own_row_only(sources):
    label = protein.make_labeller(sources)
    labels = label("1abc-A", ("A",))
    assert terms(labels) == {"ec": [[0]], "go_mf": [[1]], "go_bp": [[0, 2]], "go_cc": [[0]]}
    assert labels.term_mask.tolist() == [[True, True, True, True]]
    # In the GO file with one branch empty, and not in the EC file though its UniProt id is.
    labels = label("1abc-B", ("B",))
    assert terms(labels) == {"ec": [NONE], "go_mf": [[0]], "go_bp": [[1]], "go_cc": [NONE]}
    assert labels.term_mask.tolist() == [[False, True, True, False]]
    # A chain of a complex that has an affinity has none: it binds nothing by itself.
    assert not label("5cpx-A", ("A",)).labelled


def test_a_complex_goes_through_uniprot(sources):
    """5cpx: A is P1 as 1abc-A and 1xyz-A are; B is P2 as 1abc-B; C has no UniProt id."""
    labels = protein.make_labeller(sources)("5cpx", ("A", "B", "C"))
    assert terms(labels) == {
        # Of P1's two chains that differ the first in the file.
        "ec": [[0], NONE, NONE],
        "go_mf": [[1], [0], NONE],
        "go_bp": [[0, 2], [1], NONE],
        "go_cc": [[0], NONE, NONE],
    }
    expected = [[True, True, True, True], [False, True, True, False], [False] * 4]
    assert labels.term_mask.tolist() == expected
    np.testing.assert_allclose(labels.affinities, [4.31, 0])
    assert labels.affinities.dtype == np.float32
    assert (labels.affinity_mask.tolist(), labels.affinity_exact.tolist()) == ([True, False], [True, False])


def test_order_of_chains_is_the_structure_s(sources):
    label = protein.make_labeller(sources)
    forth, back = label("5cpx", ("A", "B", "C")), label("5CPX", ("C", "B", "A"))
    np.testing.assert_array_equal(forth.term_mask, back.term_mask[::-1])
    assert terms(forth)["go_bp"] == terms(back)["go_bp"][::-1]


def test_the_own_row_of_a_complex_s_chain_goes_first(sources):
    """1xyz-A has EC row [1], while the first chain of its UniProt id has [0]; it has no GO row of its own."""
    labels = protein.make_labeller(sources)("1xyz", ("A",))
    assert terms(labels) == {"ec": [[1]], "go_mf": [[1]], "go_bp": [[0, 2]], "go_cc": [[0]]}


def test_chains_of_several_uniprot_ids_lend_nothing(sources):
    assert "P7" not in protein.make_labeller(sources).by_uniprot["ec"]


def test_inexact_affinities(sources):
    labels = protein.make_labeller(sources)("6ppi", ("A", "B"))
    assert (labels.affinity_mask.tolist(), labels.affinity_exact.tolist()) == ([False, True], [False, False])
    assert labels.affinities[1] == 8
    assert not protein.make_labeller(sources, drop_inexact=True)("6ppi", ("A", "B")).labelled


@pytest.mark.parametrize("kept", [("ec",), ("go",), ("lba",), ("ppa",), ("ec", "ppa"), ("go", "lba")])
@pytest.mark.parametrize("with_map", [True, False])
def test_any_subset_of_sources(sources, kept, with_map):
    """What is given labels as before, except through a map that is not there; what is not given stays missing."""
    paths = {name: getattr(sources, name) for name in kept}
    subset = protein.Sources(**paths, chain_to_uniprot=sources.chain_to_uniprot if with_map else None)
    whole, part = protein.make_labeller(sources), protein.make_labeller(subset)
    given = [("ec" in kept), *["go" in kept] * 3]
    for entry, chains in (("1abc-A", ("A",)), ("5cpx", ("A", "B", "C")), ("6ppi", ("A", "B"))):
        expected, labels = whole(entry, chains), part(entry, chains)
        through_map = not with_map and "-" not in entry
        np.testing.assert_array_equal(labels.term_mask, expected.term_mask & given & (not through_map))
        np.testing.assert_array_equal(
            labels.affinity_mask, expected.affinity_mask & [name in kept for name in protein.AFFINITIES]
        )
        assert part.may_have_labels(entry) >= labels.labelled


def test_no_source_at_all(sources):
    with pytest.raises(ValueError, match="expected one source of labels or more"):
        protein.make_labeller(protein.Sources(chain_to_uniprot=sources.chain_to_uniprot))


def test_what_can_have_no_label_needs_no_structure(sources):
    label = protein.make_labeller(sources)
    known = [label.may_have_labels(entry) for entry in ("5cpx", "6ppi", "1abc-A", "1xyz", "1abc-Z", "7nil", "9xxx")]
    assert known == [True, True, True, True, False, False, False]


def test_full_is_by_uniprot(sources):
    label = protein.make_labeller(sources)
    assert label.fully_labelled("1xyz") and label.fully_labelled("1XYZ", ("ec",))
    assert not label.fully_labelled("5cpx")  # P2 has no EC number
    assert label.fully_labelled("5cpx", ("go_mf", "go_bp"))
    assert not label.fully_labelled("7nil")  # nobody knows its UniProt ids


def test_an_entry_of_one_chain_wants_that_chain(sources):
    with pytest.raises(ValueError, match=r"expected chains \('A',\), got \('A', 'B'\)"):
        protein.make_labeller(sources)("1abc-A", ("A", "B"))


def test_multi_hot(sources):
    labels = protein.make_labeller(sources)("5cpx", ("A", "B", "C"))
    assert protein.multi_hot(labels.terms["go_bp"], 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="expected indices of 2 terms, got 2"):
        protein.multi_hot(labels.terms["go_bp"], 2)


def test_the_join_on_the_published_files(shared_data):
    """All fully labelled entries have EC numbers at every chain, which only a right join can give."""
    folder = shared_data / "proteins" / "annotations"
    sources = protein.Sources(
        ec=folder / "nrPDB-EC_2020.04_annot.tsv", chain_to_uniprot=folder / "chain_to_uniprot.json"
    )
    label = protein.make_labeller(sources)
    splits = protein.read_splits(folder / "protein_mt_split")

    def labels(entry):
        _, _, chain = entry.partition("-")
        return label(entry, (chain,) if chain else tuple(label.chain_map[entry]))

    for name in "train", "val", "test":
        found = [labels(entry).term_mask[:, 0] for entry in splits[name]]
        assert all(len(mask) and mask.all() for mask in found)
        assert all(label.fully_labelled(entry, ("ec",)) for entry in splits[name])
    assert sum(labels(entry).labelled for entry in splits["train_all"]) == 14351
    # Own rows agree with what comes through UniProt, but for one chain of 377.
    own = [
        (f"{entry}-{chain}", uniprot)
        for entries in splits.values()
        for entry in entries
        if "-" not in entry
        for chain, uniprot in label.chain_map[entry].items()
        if f"{entry}-{chain}" in label.annotations["ec"].chains
    ]
    rows = label.annotations["ec"].chains
    differing = [chain for chain, uniprot in own if rows[chain] != rows.get(label.by_uniprot["ec"].get(uniprot))]
    assert (len(own), len(differing)) == (377, 1)


def test_the_map_is_read_as_it_stands(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"1abc": {"A": ""}}))
    ec = tmp_path / "ec.tsv"
    ec.write_text(files.EC)
    with pytest.raises(ValueError, match="map.json, entry 1abc"):
        protein.make_labeller(protein.Sources(ec=ec, chain_to_uniprot=path))
