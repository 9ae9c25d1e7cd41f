// Line icons on a 24 by 24 grid, drawn for this page.
const shapes = {
  mic: 'M12 3.5a2.8 2.8 0 0 0-2.8 2.8v5a2.8 2.8 0 0 0 5.6 0v-5A2.8 2.8 0 0 0 12 3.5zM5.8 11a6.2 6.2 0 0 0 12.4 0M12 17.2v3.3',
  micOff: 'M4 4l16 16M14.8 9.5V6.3a2.8 2.8 0 0 0-5.4-1M9.2 9.2v2.1a2.8 2.8 0 0 0 4.3 2.4M5.8 11a6.2 6.2 0 0 0 9.9 5M18.2 11a6 6 0 0 1-.5 2.4M12 17.2v3.3',
  cam: 'M3.5 8A2.5 2.5 0 0 1 6 5.5h7A2.5 2.5 0 0 1 15.5 8v8a2.5 2.5 0 0 1-2.5 2.5H6A2.5 2.5 0 0 1 3.5 16zM15.5 10.5l5-3v9l-5-3',
  camOff: 'M4 4l16 16M9.5 5.5H13A2.5 2.5 0 0 1 15.5 8v3.5M15.5 15.5V16a2.5 2.5 0 0 1-2.5 2.5H6A2.5 2.5 0 0 1 3.5 16V8c0-.8.4-1.5 1-2M15.5 10.5l5-3v9l-3-1.800',
  share: 'M3.5 6.5A1.5 1.5 0 0 1 5 5h14a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 19 17H5a1.5 1.5 0 0 1-1.5-1.5zM8.5 20h7M12 14V8.5M9.5 10.800L12 8.300l2.5 2.5',
  record: 'M12 4.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z',
  list: 'M4 6.5h10M4 12h10M4 17.5h6M17.5 10.5v7l4-3.5z',
  leave: 'M4.5 14.8c-.6-1.5-.5-2.9.5-3.8 4-3.3 10-3.3 14 0 1 .9 1.1 2.3.5 3.8-.2.5-.7.7-1.2.6l-2.6-.7a1 1 0 0 1-.7-1v-1.5a11 11 0 0 0-6 0v1.5a1 1 0 0 1-.7 1l-2.6.7c-.5.1-1-.1-1.2-.6z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M18.700 5.300l-1.400 1.400M6.700 17.300l-1.400 1.400',
  moon: 'M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z',
  close: 'M6 6l12 12M18 6L6 18',
  play: 'M8 5.5v13l10.5-6.5z',
} as const;

export type IconName = keyof typeof shapes;

export function icon(name: IconName): SVGSVGElement {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', 'icon');
  const path = document.createElementNS(ns, 'path');
  path.setAttribute('d', shapes[name]);
  svg.append(path);
  return svg;
}

/** Sets a control's icon and its words; pressed is announced for toggles. */
export function face(button: HTMLElement, name: IconName, label: string, pressed?: boolean): void {
  const words = document.createElement('span');
  words.textContent = label;
  button.replaceChildren(icon(name), words);
  button.setAttribute('aria-label', label);
  button.title = label;
  if (pressed !== undefined) button.setAttribute('aria-pressed', String(pressed));
}
