"""A Modbus device for one test: `modbus_server.py PORT`.

Holding and input registers 0 to 99 and 200 to 299 exist, coils and discrete inputs 0 to 111. Commands come as lines of
JSON on standard input; each is answered by one line. The device counts the function codes that it is asked for.
"""

import asyncio
import json
import sys
from collections import Counter

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

FUNCTIONS = Counter()
TABLES = {1: "coils", 2: "discrete", 3: "holding", 4: "input"}
VALUES = {"coils": {}, "discrete": {}, "holding": {}, "input": {}}
BUSY = set()


def count(sending, pdu):
    if not sending:
        FUNCTIONS[str(pdu.function_code)] += 1
    return pdu


async def on_request(function_code, start_address, address, count, registers, set_values):
    """Puts the values into the whole table, which begins at `start_address`; bits are packed, lowest first."""
    if function_code in BUSY:
        return ExcCodes.DEVICE_BUSY
    table = TABLES.get(function_code)
    values = VALUES.get(table, {})
    for offset in range(len(registers)):
        number = start_address + offset
        if table in ("coils", "discrete"):
            registers[offset] = sum(1 << bit for bit in range(16) if values.get(16 * number + bit))
        else:
            registers[offset] = values.get(number, registers[offset])
    return None


async def main():
    bits = [SimData(0, count=7, values=0, datatype=DataType.BITS)]
    registers = [SimData(0, count=100, values=0, datatype=DataType.REGISTERS),
                 SimData(200, count=100, values=0, datatype=DataType.REGISTERS)]
    device = SimDevice(id=1, simdata=(bits, bits, registers, registers), action=on_request)
    server = ModbusTcpServer(device, address=("127.0.0.1", int(sys.argv[1])), trace_pdu=count)
    serving = asyncio.create_task(server.serve_forever())
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("{}", flush=True)
    while line := await reader.readline():
        command = json.loads(line)
        answer = {}
        match command["do"]:
            case "set":
                for offset, value in enumerate(command["values"]):
                    VALUES[command["table"]][command["address"] + offset] = value
            case "busy":
                BUSY.symmetric_difference_update(command["functions"])
            case "functions":
                answer = dict(FUNCTIONS)
        print(json.dumps(answer), flush=True)
    serving.cancel()


asyncio.run(main())
