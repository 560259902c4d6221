// The body of a function: [texts judged, those with too little contrast against what is behind].
// WCAG 2.2, AA: 4.5, of large text 3.
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
};
const over = (top, under) =>
    top.slice(0, 3).map((part, at) => part * top[3] + under[at] * (1 - top[3]));
const behind = (element) => {
    if (!element) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
};
const light = (color) => {
    const [red, green, blue] = color.map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const weak = [];
let judged = 0;
while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    const aside = element.closest('.spoken, .skip, option, dialog');
    if (!text || aside || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const drawn = element.closest('svg') ? style.fill : style.color;
    // The bar of a list lies behind its text, beside it in the tree.
    const bar = element.parentElement.querySelector(':scope > .bar');
    let ground = behind(element);
    if (bar) ground = over(rgba(getComputedStyle(bar).backgroundColor), ground);
    const pair = [light(over(rgba(drawn), ground)), light(ground)];
    const [low, high] = pair.sort((one, two) => one - two);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    judged += 1;
    if (ratio < (large ? 3 : 4.5)) weak.push(`${text}: ${ratio.toFixed(2)}`);
}
return [judged, weak];
