/**
 * Loaded into the program by the launcher when it runs it as a child: the program stops as if asked to when
 * the launcher is gone, however it died.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread && process.channel) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}
