/** Loaded into the program by the launcher, before anything else. */
import { useCompileCache } from './compile-cache.mjs';

useCompileCache();
