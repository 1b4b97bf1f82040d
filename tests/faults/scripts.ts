/** The scripts of the load. What each prints and leaves is known exactly, so that every end can be judged. */
import type { SubmitRequestInput } from '../../src/api/submit-request.ts';
import type { Outcome } from '../../src/model/run.ts';

export interface ScriptKind {
  readonly name: string;
  /** Gets the marker as its argument. */
  readonly source: string;
  /** Everything that it prints. */
  readonly output: (marker: string) => string;
  /** Whether it leaves `out.txt`, with the marker. */
  readonly leavesFile: boolean;
  readonly ends: Outcome;
  readonly request?: Partial<SubmitRequestInput>;
  /** Its client cancels it. */
  readonly isCancelled?: true;
}

const begin = `
import os, sys, time
marker = sys.argv[1]
print("begin", marker, flush=True)
`;
const leave = 'open("out.txt", "w").write(marker)\n';
const end = 'print("end", marker, flush=True)\n';
const succeeded: Outcome = { kind: 'succeeded' };
const beginAndEnd = (marker: string) => `begin ${marker}\nend ${marker}\n`;
const talk = Array.from({ length: 100 }, (_, line) => `line ${line}\n`).join('');
const orphans = `
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
`;

const quick: ScriptKind = {
  name: 'quick',
  source: begin + leave + end,
  output: beginAndEnd,
  leavesFile: true,
  ends: succeeded,
};

export const scriptKinds: readonly [ScriptKind, ...ScriptKind[]] = [
  quick,
  { ...quick, name: 'sleeping', source: `${begin}${leave}time.sleep(0.7)\n${end}` },
  {
    ...quick,
    name: 'talking',
    source: `${begin}${leave}for i in range(100):\n    print("line", i, flush=True)\n    time.sleep(0.005)\n${end}`,
    output: (marker) => `begin ${marker}\n${talk}end ${marker}\n`,
  },
  { ...quick, name: 'with children', source: begin + orphans + leave + end },
  {
    ...quick,
    name: 'on a disk of its own',
    request: { limits: { workBytes: 1024 ** 3 } },
  },
  {
    ...quick,
    name: 'failing',
    source: `${begin}${end}sys.exit(3)`,
    leavesFile: false,
    ends: { kind: 'failed', exitCode: 3 },
  },
  {
    ...quick,
    name: 'killing itself',
    source: `${begin}${end}os.kill(os.getpid(), 9)`,
    leavesFile: false,
    ends: { kind: 'signaled', signal: 'SIGKILL' },
  },
  {
    ...quick,
    name: 'cancelled',
    source: `${begin}time.sleep(600)`,
    output: (marker) => `begin ${marker}\n`,
    leavesFile: false,
    ends: { kind: 'cancelled', reason: 'enough' },
    isCancelled: true,
  },
];
