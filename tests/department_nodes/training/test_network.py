import torch

from department_nodes.training.network import EnsembleNetwork, NetworkShape

SHAPE = NetworkShape(width=7, members=3, hidden=5)


def network(seed: int = 0) -> EnsembleNetwork:
    return EnsembleNetwork.initial(SHAPE, torch.Generator().manual_seed(seed), base_rate_logit=-1.0)


def test_the_written_gradient_is_that_of_autograd() -> None:
    generator = torch.Generator().manual_seed(4)
    people = torch.randn(40, 7, generator=generator)
    # Debiased labels lie outside 0 to 1; the log loss is linear in the label, so it is defined for them all the same.
    target = torch.where(torch.rand(40, generator=generator) < 0.4, 1.58, -0.58)
    written = torch.zeros(SHAPE.parameters)
    network().gradient(people, target, written)

    parameters = network().parameters.clone().requires_grad_()
    logits = EnsembleNetwork(SHAPE, parameters).logits(people)
    loss = (torch.nn.functional.softplus(logits) - target[:, None] * logits).mean(0).sum()
    (expected,) = torch.autograd.grad(loss, parameters)
    torch.testing.assert_close(written, expected, rtol=1e-5, atol=1e-6)


def test_members_do_not_influence_each_other() -> None:
    people, target = torch.randn(20, 7), torch.rand(20)
    first, second = torch.zeros(SHAPE.parameters), torch.zeros(SHAPE.parameters)
    one, other = network(), network()
    # The last output bias belongs to the last member alone.
    other.parameters[-1] += 3.0
    one.gradient(people, target, first)
    other.gradient(people, target, second)
    of_first_member = (
        slice(-3, -1),
        slice(SHAPE.width * SHAPE.units, SHAPE.width * SHAPE.units + 2 * SHAPE.hidden),
    )
    for part in of_first_member:
        torch.testing.assert_close(first[part], second[part])
    assert first[-1] != second[-1]


def test_the_first_logits_are_near_the_base_rate() -> None:
    logits = network().logits(torch.zeros(1, 7))
    assert (logits + 1.0).abs().max() < 1.5
    assert logits.shape == (1, 3)
