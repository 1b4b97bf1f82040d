/** `slipway doctor`: whether sandboxes can be made here, which controls are on, and what to do about the rest. */
import type { Command } from 'commander';
import type { Readiness } from '../api/views.ts';
import { messageOf } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { Control } from '../model/control.ts';
import type { Image } from '../model/image.ts';
import type { Probe } from '../runtime/driver.ts';
import type { CliContext, GlobalOptions } from './context.ts';
import { serviceUrl } from './context.ts';
import { exitCodes } from './exit-codes.ts';
import type { Paint } from './paint.ts';
import { formatTable } from './paint.ts';
import { escapeText } from './terminal-text.ts';

const probeTimeoutMs = 60_000;
const serviceTimeoutMs = 5000;

interface Diagnosis {
  readonly usable: boolean;
  readonly problems: readonly string[];
  readonly probe: Probe | null;
  readonly images: readonly Image[];
  readonly service: Service;
}

interface Service {
  readonly url: string;
  readonly state: 'ready' | 'not-ready' | 'not-running';
  readonly problems: readonly string[];
}

export function addDoctorCommand(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description(
      'Look at this host: runtime, security controls, images, service. Ends with 1 if no sandbox can be made.',
    )
    .action(async (_options: object, command: Command) => {
      const { json }: GlobalOptions = command.optsWithGlobals();
      const diagnosis = await diagnose(context);
      if (json) await context.printJson(diagnosis);
      else await context.print(describe(diagnosis, context.paint.stdout));
      context.exitCode = diagnosis.usable ? exitCodes.ok : exitCodes.failure;
    });
}

async function diagnose(context: CliContext): Promise<Diagnosis> {
  const [host, service] = await Promise.all([diagnoseHost(context), diagnoseService(context)]);
  return { ...host, service };
}

async function diagnoseHost(context: CliContext): Promise<Omit<Diagnosis, 'service'>> {
  const nothing = { usable: false, probe: null, images: [] };
  if (!context.io.isRoot)
    return { ...nothing, problems: ['Making sandboxes needs root. Type: sudo slipway doctor'] };
  try {
    await using embedded = await context.parts.openStarter(context.config);
    const signal = AbortSignal.timeout(probeTimeoutMs);
    const probe = await embedded.starter.probe(signal);
    const images = await embedded.starter.listImages(signal);
    const problems = [...problemsOf(probe, images), ...(await embedded.images.damages())];
    return { usable: probe.usable, problems, probe, images };
  } catch (error) {
    return { ...nothing, problems: [messageOf(error)] };
  }
}

function problemsOf(probe: Probe, images: readonly Image[]): string[] {
  const noImage = 'There is no image. Build one: slipway image build images/python --name python';
  return images.length === 0 ? [...probe.problems, noImage] : [...probe.problems];
}

async function diagnoseService(context: CliContext): Promise<Service> {
  const url = context.config.client.url ?? serviceUrl(context.config);
  try {
    const client = await context.client();
    const readiness = await client.readiness(AbortSignal.timeout(serviceTimeoutMs));
    return { url, state: readiness.ready ? 'ready' : 'not-ready', problems: reasonsOf(readiness) };
  } catch {
    return { url, state: 'not-running', problems: [] };
  }
}

function reasonsOf({ parts }: Readiness): string[] {
  return (parts ?? []).flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
}

function describe({ usable, problems, probe, images, service }: Diagnosis, paint: Paint): string {
  const verdict = usable
    ? paint('green', 'Sandboxes can be made here.')
    : paint('red', 'No sandbox can be made here.');
  const lines = [verdict, ...problems.map((problem) => `  ${paint('red', '✗')} ${escapeText(problem)}`), ''];
  if (probe !== null) lines.push(describeRuntime(probe), '', describeControls(probe.controls, paint));
  lines.push(describeImages(images), describeService(service));
  return `${lines.join('\n')}\n`;
}

function describeRuntime({ driver, runtime, measures }: Probe): string {
  const name = runtime === null ? 'none' : `${runtime.name} ${runtime.version}`;
  return [`driver    ${driver}`, `runtime   ${name}`, `measures  ${measures.join(', ')}`]
    .map(escapeText)
    .join('\n');
}

const marks = { on: '✓', off: '–', missing: '✗' } as const;
const colours = { on: 'green', off: 'yellow', missing: 'red' } as const;

/** The table is laid out first and coloured then: colours have no width. */
function describeControls(controls: readonly Control[], paint: Paint): string {
  const rows = controls.map(({ name, state, detail }) => [marks[state], name, state, detail]);
  const lines = formatTable(rows).trimEnd().split('\n');
  const coloured = lines.map((line, index) => {
    const state = controls[index]?.state ?? 'on';
    return paint(colours[state], line.slice(0, 1)) + line.slice(1);
  });
  return `${coloured.join('\n')}\n`;
}

function describeImages(images: readonly Image[]): string {
  if (images.length === 0) return 'images    none';
  const rows = images.map((image) => [
    'image',
    image.names.join(', ') || image.digest.slice('sha256:'.length, 'sha256:'.length + 12),
    formatBytes(image.sizeBytes),
    image.notes.join('; '),
  ]);
  return formatTable(rows).trimEnd();
}

function describeService({ url, state, problems }: Service): string {
  const words = { ready: 'ready', 'not-ready': 'not ready', 'not-running': 'not running' } as const;
  const reasons = problems.map((problem) => `\n  ${escapeText(problem)}`).join('');
  return `service   ${words[state]} at ${escapeText(url)}${reasons}`;
}
