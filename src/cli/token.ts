/** `slipway token create | list | revoke`: who may use a server; for its operators. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { CreateTokenRequest } from '../api/token-view.ts';
import type { CliContext, GlobalOptions } from './context.ts';
import { formatTable } from './paint.ts';
import { escapeText } from './terminal-text.ts';

interface ServerOption extends GlobalOptions {
  readonly server?: string;
}

interface CreateOptions extends ServerOption {
  readonly role: NonNullable<CreateTokenRequest['role']>;
}

export function addTokenCommand(program: Command, context: CliContext): void {
  const token = program
    .command('token')
    .description(
      'The tokens of a server (this machine’s, or that of --server or SLIPWAY_URL); for operators.',
    )
    .option('--server <url>', 'the server');
  token
    .command('create')
    .description('create a token; its secret is shown once, on standard output')
    .argument('<name>', 'who will use it; tokens of one name see the same runs')
    .option('--role <role>', 'operator or caller', parseRole, 'caller')
    .action((name: string, _options: object, command: Command) =>
      create(name, command.optsWithGlobals(), context),
    );
  token
    .command('list')
    .description('list the tokens, revoked ones too')
    .action((_options: object, command: Command) => list(command.optsWithGlobals(), context));
  token
    .command('revoke')
    .description('revoke a token; its runs stay')
    .argument('<id>')
    .action((id: string, _options: object, command: Command) =>
      revoke(id, command.optsWithGlobals(), context),
    );
}

/** The secret alone goes to stdout, so that it can be kept without being seen: `slipway token create ann > file`. */
async function create(name: string, options: CreateOptions, context: CliContext): Promise<void> {
  const client = await context.client(options.server);
  const issued = await client.createToken({ name, role: options.role });
  if (options.json) return context.printJson(issued);
  await context.note(`${issued.id} for ${escapeText(issued.name)} (${issued.role}); this is shown only now:`);
  await context.print(`${issued.secret}\n`);
}

async function list(options: ServerOption, context: CliContext): Promise<void> {
  const client = await context.client(options.server);
  const tokens = await client.listTokens();
  if (options.json) return context.printJson(tokens);
  const rows = tokens.tokens.map(({ id, name, role, createdAt, revokedAt }) => [
    id,
    name,
    role,
    createdAt,
    revokedAt ?? '',
  ]);
  await context.print(formatTable([['ID', 'NAME', 'ROLE', 'CREATED', 'REVOKED'], ...rows]));
}

async function revoke(id: string, options: ServerOption, context: CliContext): Promise<void> {
  const client = await context.client(options.server);
  const revoked = await client.revokeToken(id);
  if (options.json) return context.printJson(revoked);
  await context.print(`${escapeText(revoked.id)} of ${escapeText(revoked.name)} is revoked\n`);
}

function parseRole(text: string): CreateOptions['role'] {
  if (text === 'operator' || text === 'caller') return text;
  throw new InvalidArgumentError('There are operator and caller.');
}
