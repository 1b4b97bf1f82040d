/** Which image is meant, where an archive or an index holds several. */
import { SlipwayError } from '../../base/errors.ts';
import type { ImageChoice } from './image-source.ts';
import type { Descriptor, DockerManifest } from './oci-documents.ts';
import { hostPlatform, imagesFor, platformMissing, platformsIn } from './platform.ts';

type DockerImage = DockerManifest[number];

/** The names that layouts give to their images: the specification's, and that of containerd and Docker. */
const nameKeys = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];
const shownNames = 20;

/**
 * One image, or one index, of an index.
 *
 * @throws SlipwayError `image-choice` (several are there), `image-platform-missing`
 */
export function chooseDescriptor(manifests: readonly Descriptor[], choice: ImageChoice): Descriptor {
  const named =
    choice.select === undefined ? manifests : manifests.filter((one) => isNamed(one, choice.select));
  const [only, ...others] = named;
  if (only === undefined) throw ambiguous(namesOf(manifests), choice);
  if (others.length === 0 && (choice.platform === undefined || only.platform === undefined)) return only;
  const wanted = choice.platform ?? hostPlatform();
  const mine = imagesFor(named, wanted);
  const [first] = mine;
  if (first === undefined && named.some(({ platform }) => platform !== undefined)) {
    throw platformMissing(wanted, platformsIn(named));
  }
  // Variants of one architecture are alternatives; images that nothing tells apart are not.
  const isClear = new Set(mine.map(({ platform }) => platform?.variant)).size === mine.length;
  if (first !== undefined && isClear) return first;
  throw ambiguous(namesOf(manifests), choice);
}

/** @throws SlipwayError `image-choice` */
export function chooseDockerImage(images: DockerManifest, choice: ImageChoice): DockerImage {
  const { select } = choice;
  const named =
    select === undefined
      ? images
      : images.filter(({ RepoTags }) => RepoTags.some((tag) => isSame(tag, select)));
  const [only, ...others] = named;
  if (only !== undefined && others.length === 0) return only;
  throw ambiguous(
    images.flatMap(({ RepoTags, Config }) => RepoTags[0] ?? Config),
    choice,
  );
}

function isNamed({ annotations, digest }: Descriptor, select: string | undefined): boolean {
  return digest === select || nameKeys.some((key) => isSame(annotations[key], select));
}

/** `python` is `docker.io/library/python:latest`. */
function isSame(name: string | undefined, select: string | undefined): boolean {
  return name !== undefined && select !== undefined && (name === select || short(name) === short(select));
}

function short(name: string): string {
  return name
    .replace(/^docker\.io\//, '')
    .replace(/^library\//, '')
    .replace(/:latest$/, '');
}

function namesOf(manifests: readonly Descriptor[]): string[] {
  return manifests.map(
    ({ annotations, digest }) => annotations[nameKeys[1] ?? ''] ?? annotations[nameKeys[0] ?? ''] ?? digest,
  );
}

function ambiguous(names: readonly string[], { select }: ImageChoice): SlipwayError {
  const shown = names.slice(0, shownNames).map((name) => JSON.stringify(name.slice(0, 200)));
  const more = names.length > shownNames ? ` and ${names.length - shownNames} more` : '';
  const problem =
    select === undefined
      ? 'holds several images'
      : `has not one image ${JSON.stringify(select.slice(0, 200))}`;
  return new SlipwayError(
    'invalid-input',
    'image-choice',
    `What should be imported ${problem}. It has: ${shown.join(', ')}${more}. Name one by --select.`,
    { details: { names: names.slice(0, shownNames) } },
  );
}
