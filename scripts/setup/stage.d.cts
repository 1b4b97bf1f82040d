/** See stage.cjs. */
export interface StageOptions {
  root?: string;
  verify?: boolean;
  onCopy?: (target: string) => void;
}
export function stage(checkout: string, options?: StageOptions): string;
export function isStaged(directory: string): boolean;
export const defaultRoot: string;
