/** A sequence of kubectl calls in a namespace and directory of its own, run in the same way against every API server. */
export interface Scenario {
  /** A sentence about behaviour. */
  readonly title: string;
  /** Played with older kubectls, too: what they ask of a server in ways of their own. */
  readonly everyKubectl?: true;
  /** Files in the directory that kubectl runs in: path → text. */
  readonly files?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

/** One call of kubectl. In `run`, `stdin` and `says`, `${name}` stands for what an earlier step kept under that name. */
export interface Step {
  /** The arguments, separated by spaces; single quotes keep words together. */
  readonly run: string;
  readonly stdin?: string;
  /** A shell command that is EDITOR for this call; kubectl appends the file's name. */
  readonly editor?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The exit code; default 0. */
  readonly exit?: number;
  /** What stdout and stderr, normalised, have to contain, whichever the server. */
  readonly says?: string | RegExp | readonly (string | RegExp)[];
  /** Remembers what stdout said under this name. */
  readonly keep?: string;
  /** Calls again until the output matches: for what a server does in its own time. */
  readonly until?: RegExp;
  /** What is done while this call watches, from the moment its watch is open. */
  readonly meanwhile?: readonly Step[];
  /** Ends a call that watches for ever, when it has printed this many lines. */
  readonly lines?: number;
  /** The servers answer differently, knowingly. */
  readonly differs?: Difference;
}

/** A point at which the embedded API knowingly differs: what each says, and the row of docs/conformance.md about it. */
export interface Difference {
  /** The row's first cell. */
  readonly row: string;
  readonly embedded: string | RegExp;
  readonly real: string | RegExp;
  /** The exit code of the embedded API, where that differs, too. */
  readonly exit?: number;
}
