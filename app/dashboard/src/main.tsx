import { render } from 'preact';
import '../../shared/theme.css';
import '../../shared/base.css';
import '../../shared/frame.css';
import './dashboard.css';
import { applyTheme } from '../../shared/components.tsx';
import type { Theme } from '../../shared/components.tsx';
import { App } from './app.tsx';

applyTheme((localStorage.getItem('stf-theme') as Theme | null) ?? 'auto');
const place = document.getElementById('app')!;
place.textContent = '';
render(<App />, place);
