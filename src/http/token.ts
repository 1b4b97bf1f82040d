/** Bearer tokens: `slw_` and 160 random bits. The store knows only their SHA-256. */
import { createHash } from 'node:crypto';
import { randomText } from '../base/ids.ts';

const tokenPattern = /^slw_[0-9a-hjkmnp-tv-z]{32}$/;

/** A new secret: 32 characters of 5 random bits. */
export function createTokenSecret(): string {
  return `slw_${randomText(32)}`;
}

export function isTokenSecret(text: string): boolean {
  return tokenPattern.test(text);
}

/** What is stored and looked up. A guess cannot be timed: the hash of the guess is what is compared. */
export function hashToken(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
