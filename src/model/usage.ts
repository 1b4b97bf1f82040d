/** What a run used, measured from outside the sandbox. What a host cannot measure is null, never 0. */
export interface Usage {
  /** From the start of the program to the end of everything inside, in ms. */
  readonly wallMs: number;
  /** Processor time in all, in ms. */
  readonly cpuMs: number | null;
  /** The user and system parts are sampled by the kernel's tick: approximate; they need not add up. */
  readonly cpuUserMs: number | null;
  readonly cpuSystemMs: number | null;
  /** Highest memory use, page cache and tmpfs included, in bytes. */
  readonly memoryPeakBytes: number | null;
  /** Most processes and threads at one moment. */
  readonly pidsPeak: number | null;
  /** Bytes read from and written to block devices. */
  readonly readBytes: number | null;
  readonly writtenBytes: number | null;
  /** Processes that the kernel killed for want of memory. */
  readonly oomKills: number | null;
  /** What it did through the egress proxy; only of runs that have one. */
  readonly egress?: EgressUsage;
}

/** What a run did through its egress proxy, counted there. */
export interface EgressUsage {
  /** Over all connections, TLS and headers included. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** In the order of their first appearance; at most 64. */
  readonly hosts: readonly EgressRecord[];
  /** Decisions about hosts beyond those. */
  readonly omitted: number;
}

/** What became of connections to one host and port. */
export interface EgressRecord extends EgressDecision {
  readonly count: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** One decision of the egress proxy. */
export interface EgressDecision {
  /** As it was asked for; what cannot be parsed is shown as it came, with the port 0. */
  readonly host: string;
  readonly port: number;
  readonly kind: 'allowed' | 'refused' | 'failed';
  /** Why it was refused, or why it failed. */
  readonly reason?: EgressReason;
  /** Where the connection went. */
  readonly address?: string;
}

export const egressReasons = [
  'bad-request',
  'not-named',
  'address-not-allowed',
  'byte-limit',
  'not-resolved',
  'not-reached',
] as const;

export type EgressReason = (typeof egressReasons)[number];

/** How everything inside a sandbox ended, seen from outside. */
export type ExitStatus =
  | { readonly kind: 'exited'; readonly code: number; readonly usage: Usage }
  | { readonly kind: 'signaled'; readonly signal: SignalName; readonly usage: Usage }
  | { readonly kind: 'oom-killed'; readonly code: number; readonly usage: Usage }
  | { readonly kind: 'lost'; readonly reason: string; readonly usage: Usage };

/** Linux signals 1 to 31, by number; the others have no portable name. */
export const signalNames = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
] as const;

export type SignalName = (typeof signalNames)[number];

/** The name of signal number 1 to 31. */
export function signalName(number: number): SignalName | undefined {
  return signalNames[number - 1];
}

/** The number of a signal, as in an exit status of 128 + number. */
export function signalNumber(name: SignalName): number {
  return signalNames.indexOf(name) + 1;
}
