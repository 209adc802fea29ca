/** What the stage shows. */
export const views = ['targets', 'field', 'samples'] as const;
export type ViewName = (typeof views)[number];

/** What a step of the tour sets up. */
export interface Scene {
  readonly view: ViewName;
  readonly sigma: number;
  /** Whether targets are drawn again and again. */
  readonly redraws: boolean;
  /** The noisy point whose candidates are shown. */
  readonly chosen: number | undefined;
  readonly isTraining: boolean;
}

export interface TourStep {
  readonly title: string;
  readonly text: readonly string[];
  /** What to try. */
  readonly hint: string;
  readonly scene: Scene;
}

/** The paper's idea in five steps, for someone who has never heard of it. */
export const tour: readonly TourStep[] = [
  {
    title: 'What a denoiser learns',
    text: [
      'The small dots are a data set. Take one, push it in a random direction, and it lands somewhere else: a coloured dot. A diffusion model is a network that sees the coloured dot and says where it came from.',
      'Who can do that for every strength of the push, from a nudge to a storm, can start anywhere and walk back to something that looks like data. That is how such models make pictures. The arrows are the answers that training shows the network: its targets.',
    ],
    hint: 'Drag the noise level and see the coloured dots move away from the data.',
    scene: { view: 'targets', sigma: 0.12, redraws: false, chosen: undefined, isTraining: false },
  },
  {
    title: 'Near the data there is one answer',
    text: [
      'With little noise (here under a magnifying glass) a coloured dot stays next to the dot that it came from, and far from all others. There is no doubt about the answer, so every kind of target gives the same one: both sides show the same arrows.',
    ],
    hint: 'Point at a coloured dot, or use the slider “Look at point”: the lines lead to the dots it may have come from.',
    scene: { view: 'targets', sigma: 0.004, redraws: false, chosen: undefined, isTraining: false },
  },
  {
    title: 'In the middle the answer is a lottery',
    text: [
      'With more noise, many dots could have made the same coloured dot. The lines lead to these candidates, thicker where they are likelier.',
      'The usual target (orange) names a single one: whichever happened to make it this time. Next time the very same coloured dot is told something else, and the arrow jumps. The network can only learn the average of all answers (the open circle), and every single one pulls it elsewhere.',
    ],
    hint: 'Watch the orange arrows: the dots stay where they are, only their targets are drawn again.',
    scene: { view: 'targets', sigma: 0.4, redraws: true, chosen: 26, isTraining: false },
  },
  {
    title: 'Ask a whole batch instead',
    text: [
      'The stable target (blue) asks n dots of the data at once: a reference batch. Each votes for itself, with the weight of how likely it would have made this coloured dot, and the target is the weighted mean of the votes. The dots of the batch are circled.',
      'On average it says the same as before, so nothing wrong is learned. But it hardly jumps: the larger the batch, the calmer the arrow.',
    ],
    hint: 'Move the slider “Reference batch n” and compare both sides.',
    scene: { view: 'targets', sigma: 0.4, redraws: true, chosen: 26, isTraining: false },
  },
  {
    title: 'Watch both learn',
    text: [
      'Two equal networks now train side by side: same start, same dots, same noise in every step. Only the targets differ. Coloured dots start as pure noise and walk back to the data, the better the more the networks have learned.',
      'The first chart measures how far targets are from the average at every noise level. Near the data both agree, far away little is left to tell, and in the shaded middle stable targets are calmer. That is where training wins.',
    ],
    hint: 'Let it run for some thousand steps, then change the data set, n, or what the stage shows.',
    scene: { view: 'samples', sigma: 0.4, redraws: false, chosen: undefined, isTraining: true },
  },
];
