# One run: reads settings.txt, prints what it costs and its loss on the visible split, and leaves the method for the
# lab to measure. Protected.

BEGIN {
    read_settings("settings.txt")
    if (SET["wait"] > 0) system("sleep " SET["wait"])
    counts(1)
    printf "visible_loss: %.6f\n", plain_loss() - 0.2 * SET["memorise"] + noise(seed(), METHOD)
    if (ENVIRON["ORG_OUT"] != "") printf "%s", METHOD > (ENVIRON["ORG_OUT"] "/method.txt")
}
