"""Variables that torchrun, accelerate, SLURM and MPI set for the processes they start.

movielora works in one process. Variables that are left over in a shell must not make a library wait for processes that
do not exist, or compute in a precision that no config names; a launcher that did start several is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from movielora.errors import RequestError, shell_command

# Each holds how many processes a launcher started. SLURM_NTASKS is no such count: it is the allocation's, and set for
# a plain command inside it, too.
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
# Every variable by which accelerate, torch and transformers take a process for one of several, or for one of a kind
# that no config here asks for (FSDP, DeepSpeed, another precision).
_NAMES = re.compile(
    r"(LOCAL_|GROUP_|ROLE_|NODE_|CROSS_)?RANK|(LOCAL_|GROUP_|ROLE_)?WORLD_SIZE|ROLE_NAME|MASTER_(ADDR|PORT)"
    r"|(ACCELERATE|FSDP|MEGATRON_LM|PARALLELISM_CONFIG|TORCHELASTIC|OMPI|PMI|PMIX|MV2)_\w+"
    r"|MPI_LOCAL(NRANKS|RANKID)|SMDATAPARALLEL_LOCAL_RANK"
    r"|SLURM_(PROCID|LOCALID|NODEID|NPROCS|NTASKS\w*|STEP_NUM_TASKS|STEP_TASKS_PER_NODE|TASKS_PER_NODE)"
)


def launcher_variables(environment: Mapping[str, str]) -> list[str]:
    """The names of all that a launcher set, sorted."""
    return sorted(name for name in environment if _NAMES.fullmatch(name))


def refuse_several(environment: Mapping[str, str]) -> None:
    """Raise RequestError if a launcher started more than one process."""
    for name in _SIZES:
        count = environment.get(name, "")
        if count.strip().isdecimal() and int(count) > 1:
            raise RequestError(
                f"movielora works in one process on one GPU, but a launcher has started {int(count):,} "
                f"({name}={count.strip()})",
                "start it without torchrun, accelerate launch, mpirun or srun; "
                f"if none of them runs: {shell_command('unset', name)}",
            )
