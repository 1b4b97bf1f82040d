/** Ids of a run's events: the place after them, so that any control plane can go on there: `1234.running`. */
import { SlipwayError } from '../base/errors.ts';
import { type RunState, runStates } from '../model/run.ts';
import { beginning, type RunPlace } from '../runs/follow-run.ts';

export function formatEventId({ position, state }: RunPlace): string {
  return `${position}.${state ?? ''}`;
}

/**
 * The place of an id; the beginning if there is none.
 *
 * @throws SlipwayError `bad-event-id`
 */
export function parseEventId(id: string | undefined): RunPlace {
  if (id === undefined || id === '') return beginning;
  const [, digits, word] = /^(\d{1,15})\.([a-z-]*)$/.exec(id) ?? [];
  const state = runStates.find((known) => known === word);
  if (digits === undefined || (state === undefined && word !== '')) throw badEventId();
  return { position: Number(digits), state };
}

const liveStates: ReadonlySet<RunState> = new Set(['submitted', 'queued', 'preparing', 'running']);

/** Whether nothing can come after this place. */
export function isLastPlace({ state }: RunPlace): boolean {
  return state !== undefined && !liveStates.has(state);
}

function badEventId(): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'bad-event-id',
    'The header Last-Event-ID is not the id of an event of this API. Leave it out to get everything.',
  );
}
