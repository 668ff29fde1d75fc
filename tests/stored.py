"""What the cells that came with the package have measured."""

from vaelab import experiments


def measured(table, profile, data_set, key, trials=3):
    """What was measured of a row's model, trial by trial."""
    whole, size = experiments.TABLES[table], experiments.PROFILES[profile]
    cells = experiments.cells_of(whole, size, (data_set,), (key,), trials)
    return [o.record["measured"] for o in experiments.read_table(cells, experiments.Place())]
