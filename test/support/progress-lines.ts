/**
 * What a command wrote, without the lines of its progress: off a terminal they come every ten seconds, so how many there
 * are tells only how fast the machine is.
 */
export const withoutProgress = (text: string): string => text.replaceAll(/^\[[#.]{24}\] .*\n/gm, '');
