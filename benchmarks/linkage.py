"""How many ID evaluations a second: hash to the group and one multiplication, on one thread and on two."""

from time import perf_counter

from crypto.pseudonyms import hash_to_group, linkage_domain, multiply, random_scalar

IDS = 20_000
REPEATS = 3


def measure() -> dict[str, float]:
    """Return evaluations per second, the best of three: other work on the machine only slows it."""
    ids = [f"{number:018d}".encode() for number in range(IDS)]
    domain, scalar = linkage_domain(b"benchmark"), random_scalar()
    rates = {}
    for threads in (1, 2):
        best = 0.0
        for _ in range(REPEATS):
            started = perf_counter()
            multiply(hash_to_group(ids, domain, threads), scalar, threads)
            best = max(best, IDS / (perf_counter() - started))
        rates[threads] = best
    return {
        "link_evaluations_per_s_1_thread": round(rates[1]),
        "link_evaluations_per_s_2_threads": round(rates[2]),
        "link_two_threads_over_one": round(rates[2] / rates[1], 3),
    }
