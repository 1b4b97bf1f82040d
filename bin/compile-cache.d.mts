export function useCompileCache(directory?: string): void;
export function isOurs(directory: string): boolean;
