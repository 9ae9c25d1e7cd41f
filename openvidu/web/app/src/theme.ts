import { byId } from './dom';
import { face } from './icons';

/** Follows the system until the person chooses; the choice is kept. */
export function startTheme(): void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const button = byId('theme');
  const dark = () => {
    const chosen = localStorage.getItem('theme');
    return chosen ? chosen === 'dark' : system.matches;
  };
  const show = () => {
    document.documentElement.dataset.theme = dark() ? 'dark' : 'light';
    face(button, dark() ? 'sun' : 'moon', dark() ? 'Use light colours' : 'Use dark colours');
  };
  button.addEventListener('click', () => {
    localStorage.setItem('theme', dark() ? 'light' : 'dark');
    show();
  });
  system.addEventListener('change', show);
  show();
}
