/** The egress of one run: its proxy, and how the program inside finds it. */
import type { EgressRule } from '../../model/egress.ts';
import type { RunId } from '../../model/run.ts';
import type { EgressDecision } from '../../model/usage.ts';
import type { ExecutionOrder } from '../starter.ts';
import { createEgressProxy, defaultEgressLimits, type EgressProxy } from './proxy.ts';
import type { Resolve } from './resolve.ts';

/** What the operator lets runs reach. */
export interface EgressPolicy {
  readonly rules: readonly EgressRule[];
  readonly resolve: Resolve;
  /** For the log: what was decided for the first time in a run. */
  readonly onDecision?: (run: RunId, decision: EgressDecision) => void;
}

/** Where the proxy is inside a sandbox, on 127.0.0.1. */
export const proxyPort = 3128;

/** The proxy of a run that names hosts; its rules were checked already. */
export function openRunEgress(
  { run, egress = [], limits }: ExecutionOrder,
  { rules, resolve, onDecision }: EgressPolicy,
): EgressProxy | undefined {
  if (egress.length === 0) return undefined;
  return createEgressProxy({
    targets: egress,
    rules,
    resolve,
    limits: { ...defaultEgressLimits, maxBytes: limits.egressBytes },
    onDecision: (decision) => onDecision?.(run, decision),
  });
}

/** By these, HTTP clients find a proxy; some know the one spelling, some the other. */
const variables = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'];
const exceptions = ['NO_PROXY', 'no_proxy'];

/** The order with the proxy in its program's environment, where the caller does not say otherwise. */
export function withProxyVariables(order: ExecutionOrder): ExecutionOrder {
  if ((order.egress ?? []).length === 0) return order;
  const url = `http://127.0.0.1:${proxyPort}`;
  const env = Object.fromEntries([
    ...variables.map((name) => [name, url] as const),
    ...exceptions.map((name) => [name, 'localhost,127.0.0.1,::1'] as const),
  ]);
  return { ...order, program: { ...order.program, env: { ...env, ...order.program.env } } };
}
