import type { TourLevels } from './tour-levels.ts';

/** What the stage shows. */
export const views = ['targets', 'field', 'samples'] as const;
export type ViewName = (typeof views)[number];

/** What a step of the tour sets up. */
export interface Scene {
  readonly view: ViewName;
  readonly sigma: number;
  /** Whether noise comes and goes once by itself, so that something moves before anything was touched. */
  readonly sways: boolean;
  /** Whether targets are drawn again and again. */
  readonly redraws: boolean;
  /** The noisy sample whose candidates are shown. */
  readonly chosen: number | undefined;
  readonly isTraining: boolean;
}

export interface TourStep {
  readonly title: string;
  readonly text: readonly string[];
  /** What to try. */
  readonly hint: string;
}

/** What each step sets up. */
export function sceneOf(step: number, isOfPictures: boolean, levels: TourLevels): Scene {
  const still = { view: 'targets', sways: false, redraws: false, chosen: undefined, isTraining: false } as const;
  const chosen = isOfPictures ? 0 : 26;
  switch (step) {
    case 0:
      return { ...still, sigma: levels.first, sways: true };
    case 1:
      return { ...still, sigma: levels.near };
    case 2:
    case 3:
      return { ...still, sigma: levels.middle, redraws: true, chosen };
    default:
      return { ...still, sigma: levels.middle, view: 'samples', isTraining: true };
  }
}

/** The paper's idea in five steps, for someone who has never heard of it: told with points. */
const withPoints: readonly TourStep[] = [
  {
    title: 'What a denoiser learns',
    text: [
      'The small dots are a data set. Take one, push it in a random direction, and it lands somewhere else: a coloured dot. A diffusion model is a network that sees the coloured dot and says where it came from.',
      'Who can do that for every strength of the push, from a nudge to a storm, can start anywhere and walk back to something that looks like data. That is how such models make pictures. The arrows are the answers that training shows the network: its targets.',
    ],
    hint: 'Drag the noise level σ, the strength of the push, and see the coloured dots move away from the data.',
  },
  {
    title: 'Near the data there is one answer',
    text: [
      'With little noise (here under a magnifying glass) a coloured dot stays next to the dot that it came from, and far from all others. There is no doubt about the answer, so every kind of target gives the same one: both sides show the same arrows.',
    ],
    hint: 'Point at a coloured dot, or use the slider “Look at point”: the lines lead to the dots it may have come from.',
  },
  {
    title: 'In the middle the answer is a lottery',
    text: [
      'With more noise, many dots could have made the same coloured dot. The lines lead to these candidates, thicker where they are likelier.',
      'The usual target (orange) names a single one: whichever happened to make it this time. Next time the very same coloured dot is told something else, and the arrow jumps. The network can only learn the average of all answers (the open circle), and every single one pulls it elsewhere.',
    ],
    hint: 'Watch the orange arrows: the dots stay where they are, only their targets are drawn again.',
  },
  {
    title: 'Ask a whole batch instead',
    text: [
      'The stable target (blue) asks n dots of the data at once: a reference batch. Each votes for itself, with the weight of how likely it would have made this coloured dot, and the target is the weighted mean of the votes. The dots of the batch are circled.',
      'On average it says the same as before, so nothing wrong is learned. But it hardly jumps: the larger the batch, the calmer the arrow.',
    ],
    hint: 'Move the slider “Reference batch n” and compare both sides.',
  },
  {
    title: 'Watch both learn',
    text: [
      'Two equal networks now train side by side: same start, same dots, same noise in every step. Only the targets differ. Coloured dots start as pure noise and walk back to the data, the better the more the networks have learned.',
      'The first chart measures how far targets are from the average at every noise level. Near the data both agree, far away little is left to tell, and in the shaded middle stable targets are calmer. That is where training wins.',
    ],
    hint: 'Let it run for some thousand steps. Then choose pictures as the data set: digits, or a few of your own.',
  },
];

/** The same told with pictures. */
const withPictures: readonly TourStep[] = [
  {
    title: withPoints[0].title,
    text: [
      'Take a picture of the data set and pour noise over it: the first column. A diffusion model is a network that sees the noisy picture and says what is below the noise.',
      'Who can do that for every amount of noise can start from nothing but noise and end at a picture. The second column is the answer that training shows the network, its target. The third is the mean of all answers that could be right.',
    ],
    hint: 'Drag the noise level σ and see the pictures drown.',
  },
  {
    title: withPoints[1].title,
    text: [
      'With little noise a picture can still be told from all others. There is no doubt about the answer, so every kind of target gives the same one: all columns show the same picture.',
    ],
    hint: 'Click a row, or use the slider “Look at picture”: below it are the pictures that may be under the noise.',
  },
  {
    title: withPoints[2].title,
    text: [
      'With more noise, many pictures could be below the same noise. They are shown with the chance of each: the candidates.',
      'The usual target (orange) names a single one: whichever happened to be it this time. Next time the very same noisy picture is told another, and the target jumps. The network can only learn the average of all answers, the blurred picture on the right, and every single one pulls it elsewhere.',
    ],
    hint: 'Watch the orange frame: the noisy picture stays as it is, only its target is drawn again.',
  },
  {
    title: withPoints[3].title,
    text: [
      'The stable target (blue) asks n pictures of the data at once: a reference batch. Each votes for itself, with the weight of how likely it is below this noise, and the target is the weighted mean of the votes.',
      'On average it says the same as before, so nothing wrong is learned. But it hardly changes: the larger the batch, the calmer the picture.',
    ],
    hint: 'Move the slider “Reference batch n” and compare the target with the mean on both sides.',
  },
  {
    title: withPoints[4].title,
    text: [
      'Two equal networks now train side by side: same start, same pictures, same noise in every step. Only the targets differ. Samples start as pure noise and turn into pictures, the better the more the networks have learned. Beside each is the picture of the data that is nearest.',
      'The first chart measures how far targets are from the average at every noise level. Near the data both agree, far away little is left to tell, and in the shaded middle stable targets are calmer. That is where training wins.',
    ],
    hint: 'Let it run for some thousand steps, and look at “Denoised”. Then try a few pictures of your own.',
  },
];

export const tourOf = (isOfPictures: boolean): readonly TourStep[] => (isOfPictures ? withPictures : withPoints);
