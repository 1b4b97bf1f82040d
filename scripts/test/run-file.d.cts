/** See run-file.cjs. */
export interface TestEvent {
  event: 'passed' | 'failed' | 'skipped';
  name: string;
  detail?: string;
  reason?: string;
}
export interface FileResult {
  file: string;
  tests: TestEvent[];
  output: string;
  durationMs: number;
}
export interface RunFileOptions {
  checkout: string;
  node: string;
  workDirectory: string;
  timeoutMs: number;
  env: Record<string, string>;
  onHeartbeat: (text: string) => void;
}
export function runFile(file: string, options: RunFileOptions): Promise<FileResult>;
export function killRunning(): void;
