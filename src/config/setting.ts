/** What one setting is: its variable, the shape of its value, its default, and how it is parsed. */

export interface Setting<Value> {
  /** The environment variable, `SLIPWAY_…`. */
  readonly name: string;
  /** The shape of the value, for people: `a size such as 512mb`. */
  readonly shape: string;
  /** The default as one would write it; empty where there is none. */
  readonly initial: string;
  /** What it does, in one sentence, for docs/config.md. */
  readonly meaning: string;
  /** Throws an Error whose message says what is wrong with the text. */
  readonly parse: (text: string) => Value;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The values of a set of settings. */
export type ValuesOf<Of extends Settings> = {
  readonly [Key in keyof Of]: Of[Key] extends Setting<infer Value> ? Value : never;
};

/** One mistake in the environment. */
export interface SettingIssue {
  readonly name: string;
  readonly problem: string;
  readonly write: string;
}
