"""Programs of others, run to their end."""

from __future__ import annotations

import asyncio


async def run(*command: object, within: float = 60.0) -> str:
    """What the program has said; it has to end well."""
    program = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(within):
            said, _ = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.communicate()
    assert program.returncode == 0, said.decode()
    return said.decode()
