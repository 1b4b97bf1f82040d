/** Which methods a path answers to, for 405 and its Allow header (RFC 9110, section 15.5.6). */
import type { App } from './app-type.ts';

declare module 'fastify' {
  interface FastifyInstance {
    methodsAt(pathname: string): readonly string[];
  }
}

/** Must come before the routes, whose additions it watches. */
export function addRouteTable(app: App): void {
  const patterns = new Map<string, { readonly matcher: RegExp; readonly methods: Set<string> }>();
  app.addHook('onRoute', (route) => {
    const entry = patterns.get(route.url) ?? { matcher: matcherOf(route.url), methods: new Set() };
    for (const method of [route.method].flat()) entry.methods.add(method);
    patterns.set(route.url, entry);
  });
  app.decorate('methodsAt', (pathname: string) => {
    const matching = [...patterns.values()].filter((entry) => entry.matcher.test(pathname));
    return [...new Set(matching.flatMap((entry) => [...entry.methods]))].sort();
  });
}

function matcherOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}$`);
}
