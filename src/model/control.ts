/** The security controls of a sandbox, by name: what a driver reports and what an operator may switch off. */

/** A control may be switched off by name; without it every sandbox is weaker. */
export const controlNames = [
  'user-namespace',
  'id-range',
  'no-capabilities',
  'no-new-privileges',
  'seccomp',
  'read-only-root',
  'masked-paths',
  'minimal-devices',
  'no-network',
  'memory-limit',
  'no-swap',
  'pids-limit',
  'cpu-limit',
  'tmpfs-size',
  'tmpfs-inodes',
  'work-quota',
  'patched-runtime',
] as const;

export type ControlName = (typeof controlNames)[number];

export interface Control {
  readonly name: ControlName;
  /** `off` by the operator's word; `missing` where the host has it not. */
  readonly state: 'on' | 'off' | 'missing';
  /** How it is done here, or why it is missing and what to do. */
  readonly detail: string;
}
