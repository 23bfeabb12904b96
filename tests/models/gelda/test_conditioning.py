"""u(γ, κ): a linear map of both vectors, either of which may be left out."""

import torch

from models.gelda.conditioning import Conditioning
from models.gelda.rows import Members

G = torch.Generator().manual_seed(0)
GAMMA, KAPPA = torch.randn(3, 5, generator=G), torch.randn(2, 4, generator=G)
MEMBERS = Members.of_cells(torch.arange(6), 2)
YES, NO = torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)


def conditioning() -> Conditioning:
    torch.manual_seed(0)
    made = Conditioning(3, 2, 8, GAMMA, KAPPA)
    with torch.no_grad():
        made.classes.null.fill_(1.0)
        made.subdomains.null.fill_(10.0)
    return made


def test_cells_are_numbered_by_class_then_subdomain() -> None:
    assert MEMBERS.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert MEMBERS.subdomains.tolist() == [0, 1, 0, 1, 0, 1]


def test_u_is_a_linear_map_of_both_directions_set_side_by_side() -> None:
    made = conditioning()
    both = torch.cat(
        [
            torch.nn.functional.normalize(GAMMA, dim=1)[MEMBERS.classes],
            torch.nn.functional.normalize(KAPPA, dim=1)[MEMBERS.subdomains],
        ],
        dim=1,
    )
    weight = torch.cat([made.classes.project.weight, made.subdomains.project.weight], dim=1)
    bias = made.classes.project.bias + made.subdomains.project.bias
    torch.testing.assert_close(made(MEMBERS), both @ weight.T + bias)


def test_each_condition_is_left_out_on_its_own() -> None:
    made = conditioning()
    whole = made(MEMBERS)
    no_class, no_subdomain = made(MEMBERS, YES, NO), made(MEMBERS, NO, YES)
    torch.testing.assert_close(no_class[0], no_class[2], msg="the class has no say")
    torch.testing.assert_close(no_subdomain[0], no_subdomain[1], msg="nor the subdomain")
    torch.testing.assert_close(no_class + no_subdomain, whole + made.none())
    torch.testing.assert_close(made(MEMBERS, YES, YES), made.none().expand(6, -1))


def test_shares_of_classes_average_their_vectors() -> None:
    made = conditioning()
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    where = torch.zeros(2, dtype=torch.int64)
    u = made(Members(where, where, torch.tensor([False, False]), shares))
    cells = made(Members.of_cells(torch.tensor([0, 2, 4]), 2))
    torch.testing.assert_close(u[0], (cells[0] + cells[1]) / 2)
    torch.testing.assert_close(u[1], cells[2])


def test_without_subdomains_u_is_the_class_s_alone() -> None:
    made = Conditioning(3, 0, 8, GAMMA, None)
    labels = torch.arange(3)
    u = made(Members.of_cells(labels, 1))
    torch.testing.assert_close(u, made.classes(labels, None, None))
    assert made.n_cells == 3
