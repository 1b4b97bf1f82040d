import { z } from 'zod';
import { problems } from '../../api/requests.ts';
import { imageListSchema, imageViewSchema } from '../../api/views.ts';
import type { App } from '../app-type.ts';
import type { HttpServices } from '../services.ts';
import { toImageSummary, toImageView } from '../views.ts';

const params = z.object({ '*': z.string().min(1).max(512) });

/** `GET /v1/images`: what sandboxes can boot from. */
export function listImages(app: App, { starter }: HttpServices): void {
  const schema = {
    summary: 'List images',
    tags: ['images'],
    response: { 200: imageListSchema, ...problems },
  };
  app.get('/v1/images', { schema }, async (request) => {
    const images = await starter.listImages(request.gone);
    return { images: images.map(toImageSummary) };
  });
}

/** `GET /v1/images/…`: one image by name or digest, with its packages. */
export function getImage(app: App, { starter }: HttpServices): void {
  const schema = {
    summary: 'Get an image with its packages',
    tags: ['images'],
    params,
    response: { 200: imageViewSchema, ...problems },
  };
  app.get('/v1/images/*', { schema }, async (request) => {
    return toImageView(await starter.resolveImage(request.params['*'], request.gone));
  });
}
