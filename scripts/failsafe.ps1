# Dot-sourced by the failsafe launchers: run a command until it succeeds, a bounded number of times.

$ExitUserError = 2      # a person must put something right: trying again cannot help
$ExitInterrupted = 130  # Ctrl-C

# Runs Command with Arguments; before every try but the first it waits (FAILSAFE_WAIT seconds, doubled each time) and
# RetryArguments are added.  Returns the last exit code.
function Invoke-Failsafe(
    [int] $MaxTries, [string[]] $Command, [string[]] $Arguments, [string[]] $RetryArguments = @()
) {
    $wait = if ($env:FAILSAFE_WAIT) { [double] $env:FAILSAFE_WAIT } else { 5 }
    $program, $leading = $Command
    for ($try = 1; ; $try++) {
        $all = @($leading) + $Arguments
        if ($try -gt 1) { $all += $RetryArguments }
        & $program @all | Out-Host
        $status = $LASTEXITCODE
        if ($status -in 0, $ExitUserError, $ExitInterrupted) { return $status }
        if ($try -ge $MaxTries) {
            [Console]::Error.WriteLine("failsafe: gave up after $try tries, the last with exit code $status")
            return $status
        }
        [Console]::Error.WriteLine("failsafe: exit code $status in try $try of $MaxTries; again in $wait s")
        Start-Sleep -Seconds $wait
        $wait *= 2
    }
}

# A conf file given by its path, absolute; or an encoding's conf, as seen from code/.
function Get-Conf([string] $Experiment, [string] $Cameras) {
    if (-not $Experiment.EndsWith('.conf')) {
        return "../confs/embedder_conf_var/$Experiment/dtu_${Cameras}_cameras.conf"
    }
    if (Test-Path $Experiment) { return (Resolve-Path $Experiment).Path }
    return $Experiment
}
